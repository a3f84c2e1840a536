"""The paper's environment: prune by ratios until the FLOPs are within the limit, then score the pruned network.

G = groups of channels, with one number of the action for each. F1, F2 = features of operations and nodes.
"""

import dataclasses
import math
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from gnnrl.agent.observation import Observation
from gnnrl.artifacts import bundle
from gnnrl.environment.features import observe
from gnnrl.errors import ConfigError, DataError, UnreachableConstraint
from gnnrl.modules.copies import copy_network, device_of
from gnnrl.network.cost import Budget
from gnnrl.network.hierarchy import find_hierarchy
from gnnrl.network.labels import Component
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.importance import importance
from gnnrl.pruning.projection import Projection
from gnnrl.scoring.plans import Scorer, score_network
from gnnrl.searchers.task import Task
from gnnrl.storage.layout import MANIFEST, check_target
from gnnrl.training import evaluator
from gnnrl.zoo.batches import Batches, LabelledData, batched

MAX_TIMESTEPS = 5
LEAST_KEPT = 0.1
MISSED = -100.0
BEST = "best_network"


class Released(TypedDict, total=False):
    """Further keywords of the released code."""

    max_timesteps: int
    model_name: str


class GraphEnv:
    """The paper's environment of one network and one limit, for any network that `torch.export` accepts.

        env = GraphEnv(net, None, "cifar10", val_loader, 0.5, g_in_size=30, log_dir=None, input_x=example_input)
        state = env.reset()
        state, reward, done = env.step(action)

    The action is a vector of pruning ratios: number g removes the share `clip(a_g, 0, 1)` of group g's channels. So 0
    and below (tanh goes down to -1) keep the group unchanged, and no group grows. A group keeps at least a tenth of its
    channels, and at least one channel. Ratios accumulate over the steps of an episode until the limit holds or
    `max_timesteps` are over. The state is the graph of the network at its current widths, without random features.

    The reward is 0 until the episode ends. Then it is minus the top-1 error in percent, in [-100, 0], of the pruned and
    repaired network on `val_loader`, or -100 if the limit is missed. Nothing is trained on `val_loader`. The repair
    reads the inputs of its first batches without labels, unless `calibration` is given.

    Args:
        net: the network to prune; it is not changed.
        n_layer: length of the action, one number for each group; None or -1 for the network's (`action_dim`).
        dataset: a name that is saved with the result; the reward is top-1 for every dataset.
        val_loader: batches (inputs, labels) that can be iterated several times. Hold them out of the training data, and
            do not use the test set: after a search it would no longer be an unbiased test.
        compression_ratio: share of the FLOPs to remove, in (0, 1); the limit is macs <= (1 - ratio) of the network's.
        g_in_size: features of a node that the policy reads. States with fewer are padded with zeros, states with more
            are projected by a fixed orthonormal matrix. With `feature_size` or more no feature is lost.
        log_dir: folder whose `best_network` gets the best network so far; None to write nothing.
            `gnnrl.load(fresh_net, log_dir + "/best_network")` reads it.
        input_x: example input, batch dimension first.
        device: device on which networks are scored.
        args: parsed arguments as in the paper's scripts; only `max_timesteps` is read.
        calibration: batches of inputs for the repair instead of those of `val_loader`.
        released: further keywords of the released code: `max_timesteps`, the largest number of steps in an episode (by
            default that of `args`, or 5), and `model_name`, which is not read.

    Raises:
        ConfigError: arguments are out of range, or `n_layer` is not the number of groups.
        NothingToPrune: no channel of the network may be removed.
        UnreachableConstraint: the ratio cannot be met. The message says the largest ratio that can.
    """

    def __init__(
        self,
        net: nn.Module,
        n_layer: int | None,
        dataset: str,
        val_loader: LabelledData,
        compression_ratio: float,
        g_in_size: int,
        log_dir: str | Path | None,
        input_x: Any,
        device: torch.device | str = "cpu",
        args: Any = None,
        *,
        calibration: Iterable[Any] | None = None,
        **released: Unpack[Released],
    ) -> None:
        if unknown := released.keys() - Released.__annotations__.keys():
            raise TypeError(f"graph_env() got unexpected arguments: {', '.join(sorted(unknown))}")
        if name := released.get("model_name"):
            warnings.warn(f"model_name={name!r} is not read: the graph is traced from the network", stacklevel=2)
        self.dataset = dataset
        self.g_in_size = g_in_size
        self.max_timesteps = released.get("max_timesteps") or int(getattr(args, "max_timesteps", None) or MAX_TIMESTEPS)
        _check(compression_ratio, g_in_size, self.max_timesteps, val_loader)
        self._best_dir = None if log_dir is None else Path(log_dir) / BEST
        if self._best_dir is not None:  # it may replace a saved result, and nothing else
            check_target(self._best_dir, force=(self._best_dir / MANIFEST).is_file())
        dense = copy_network(net.module if isinstance(net, nn.DataParallel) else net).to(device).eval()
        network = trace(dense, tree_map_only(Tensor, lambda value: value.to(device), input_x))
        projection = _reachable(network, compression_ratio)
        self.action_dim = len(network.groups)
        if n_layer not in (None, -1, self.action_dim):
            raise ConfigError(_wrong_length("n_layer", n_layer, network))
        self.n_layer = self.action_dim
        self._projection = projection
        self._hierarchy = find_hierarchy(network)
        self._task = _scoring(dense, projection, batched(val_loader, 250), calibration)
        self._signals = self._task.signals()
        self.dense_accuracy = 100 * score_network(self._task.scorer.evaluate, dense)
        self.best_accuracy = 0.0
        self.reset()

    @property
    def feature_size(self) -> int:
        """Number of features: with this `g_in_size` or a larger one the state is not projected."""
        state = self._observation()
        return max(state.operation_x.shape[1], state.x.shape[1])

    @property
    def widths(self) -> Component:
        """Current number of channels in each group [G]."""
        return _widths(self._projection.network, self.preserve_ratio)

    @property
    def flops_ratio(self) -> float:
        """Current FLOPs of the network as a share of the original's."""
        network = self._projection.network
        return network.cost.measure(self.widths).macs / network.cost.measure(network.widths).macs

    @property
    def pruned_model(self) -> nn.Module | None:
        """Pruned and repaired network at the end of an episode that met the limit; None in any other state."""
        met = self.done and self._projection.holds(self.widths)
        return self._task.scorer.build(self._task.scorer.plan(self.widths)) if met else None

    def reset(self) -> Observation:
        """Return to the original network, and return its state."""
        self.preserve_ratio: NDArray[np.float64] = np.ones(self.action_dim)
        self.done = False
        self._time = 0
        self.current_states = self._state()
        return self.current_states

    def step(self, action: ArrayLike | Tensor, time_step: int | None = None) -> tuple[Observation, float, bool]:
        """Prune the network by one step.

        Args:
            action: pruning ratios [G].
            time_step: number of the step in the episode, from 1; by default the environment counts.

        Returns:
            The state of the smaller network, the reward, and whether the episode is over.

        Raises:
            ConfigError: the action has another length or is not finite, or the episode is over.
        """
        ratios = self._ratios(action)
        self._time = max(self._time + 1, time_step or 0)
        self.preserve_ratio = np.clip(self.preserve_ratio * (1 - ratios), LEAST_KEPT, 1)
        met = self._projection.holds(self.widths)
        self.done = met or self._time >= self.max_timesteps
        reward = self._reward() if met else MISSED if self.done else 0.0
        self.current_states = self._state()
        return self.current_states, reward, self.done

    def _ratios(self, action: ArrayLike | Tensor) -> NDArray[np.float64]:
        if self.done:
            raise ConfigError("the episode is over; call reset() to start the next one")
        plain = action.detach().cpu().numpy() if isinstance(action, Tensor) else action
        ratios = np.asarray(plain, np.float64).flatten()
        if len(ratios) != self.action_dim:
            raise ConfigError(_wrong_length("the length of the action", len(ratios), self._projection.network))
        if not np.isfinite(ratios).all():
            raise ConfigError("the action holds NaN or infinite numbers; the policy has diverged")
        return np.clip(ratios, 0.0, 1.0)

    def _reward(self) -> float:
        """Return the reward at the current widths, and save the network if it is the best one."""
        accuracy = 100 * self._task.reward(self.widths)
        if accuracy > self.best_accuracy or len(self._task.trials) == 1:
            self.best_accuracy = accuracy
            if self._best_dir is not None:
                plan = self._task.scorer.plan(self.widths)
                facts = {"dataset": self.dataset, "accuracy": accuracy, "flops_ratio": self.flops_ratio}
                bundle.save(self._best_dir, self._task.scorer.build(plan), plan, facts, force=True)
        return accuracy - 100

    def _observation(self) -> Observation:
        time = min(self._time / self.max_timesteps, 1.0)
        return observe(self._hierarchy, self.widths, self._projection.budget, time=time, signals=self._signals)

    def _state(self) -> Observation:
        real = self._observation()
        return dataclasses.replace(
            real, operation_x=fitted(real.operation_x, self.g_in_size), x=fitted(real.x, self.g_in_size)
        )


def fitted(x: Tensor, size: int) -> Tensor:
    """Pad features [N, F] with zeros to a length, or project them by a fixed orthonormal matrix [F, size].

    A projection x Q loses nothing of features in a space of at most `size` dimensions. A group has 26 features of its
    own and an instance 10, so 30 numbers suffice for the 32 columns.
    """
    missing = size - x.shape[1]
    if missing >= 0:
        return nn.functional.pad(x, (0, missing))
    random = torch.randn(x.shape[1], size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, r = torch.linalg.qr(random)
    projected: Tensor = x @ (q * r.diagonal().sign()).float()
    return projected


def _widths(network: Network, ratio: ArrayLike) -> Component:
    left = np.floor(network.widths * np.asarray(ratio, np.float64) + 1e-9)
    return np.asarray(np.maximum(left, 1), np.int64)


def _reachable(network: Network, ratio: float) -> Projection:
    """Return the projection onto the limit of a compression ratio, and refuse a ratio that cannot be met."""
    dense, floor = (network.cost.measure(_widths(network, left)).macs for left in (1.0, LEAST_KEPT))
    limit = dense - math.ceil(dense * ratio)
    if network.groups and floor > limit:
        largest = math.floor(1000 * (1 - floor / dense)) / 1000
        raise UnreachableConstraint(
            f"compression_ratio={ratio} cannot be met: with a tenth of every group {network.model_class} still has "
            f"{floor:,} of {dense:,} MACs. The largest possible ratio is {largest}."
        )
    return Projection.build(network, Budget((("macs", limit),)))


def _scoring(dense: nn.Module, projection: Projection, batches: Batches, calibration: Iterable[Any] | None) -> Task:
    """Return a task, which scores pruned networks."""
    network, device = projection.network, device_of(dense)
    inputs = (batch[:-1] if isinstance(batch, list | tuple) else batch for batch in batches)
    statistics = calibrate(dense, inputs if calibration is None else calibration)
    curves = error_curves(dense, network, statistics)
    orders = [curve.order for curve in curves]
    scorer = Scorer(dense, network, evaluator(batches, device=str(device)), orders, statistics)
    scores = importance("l2", dense, network)
    return Task(projection, scorer, curves, scores, evaluations=0, seed=0)


def _wrong_length(what: str, found: int | None, network: Network) -> str:
    names = [group.name for group in network.groups]
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return (
        f"{what} is {found}, but {network.model_class} has {len(names)} groups of channels "
        f"({listed}): give n_layer=None and Agent(action_dim={len(names)}), which is env.action_dim"
    )


def _check(ratio: float, g_in_size: int, max_timesteps: int, val_loader: object) -> None:
    wrong = []
    if not 0 < ratio < 1:
        wrong.append(f"compression_ratio must be the share of the FLOPs to remove, in (0, 1), not {ratio}")
    if g_in_size < 1 or max_timesteps < 1:
        wrong.append(f"g_in_size and max_timesteps must be at least 1, not {g_in_size} and {max_timesteps}")
    if wrong:
        raise ConfigError(f"graph_env: {'; '.join(wrong)}")
    if isinstance(val_loader, Iterator):
        raise DataError("val_loader is read for every reward, but a generator ends; give a DataLoader or a list")
