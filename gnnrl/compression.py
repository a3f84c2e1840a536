"""compress(model, example_inputs, constraint, ...): the whole way in one call."""

import copy
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from gnnrl import bundle
from gnnrl.errors import ConfigError
from gnnrl.evaluation import Evaluate, Evaluator, Seconds, Trial, judged
from gnnrl.exporting.files import Export
from gnnrl.exporting.formats import export
from gnnrl.network.cost import Cost, measure
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracer import trace, unwrapped
from gnnrl.pruning.calibration import Calibration, calibrate
from gnnrl.pruning.curves import Curve, error_curves
from gnnrl.pruning.importance import CRITERIA
from gnnrl.pruning.importance import importance as score_units
from gnnrl.pruning.plan import Plan, removal_orders
from gnnrl.pruning.projection import Projection, WidthRules
from gnnrl.pruning.reconstruction import find_repair
from gnnrl.pruning.verification import Verification, verify
from gnnrl.searchers.table import CLOSED_FORM, find_searcher
from gnnrl.searchers.task import Searcher, Task, run
from gnnrl.training import top1

STAGES = ("trace", "calibrate", "search", "verify", "finetune", "test")


@dataclass(frozen=True, slots=True)
class CompressionResult:
    """What a compression found and made.

    Attributes:
        model: the small network, of the user's own class.
        plan: widths and kept units.
        score: `dense`, `pruned` (nothing repaired), `repaired` and, after fine-tuning, `finetuned`, by the test
            function if there is one, else by the reward.
        reward: the best score of the search.
        history: all judged plans.
        cost: sizes of the `dense` and the `pruned` network.
        seconds: time of each stage.
        search_seconds: where the time of the search went.
    """

    model: nn.Module
    plan: Plan
    network: Network = field(repr=False)
    score: dict[str, float]
    reward: float
    history: tuple[Trial, ...] = field(repr=False)
    cost: dict[str, Cost]
    verification: Verification
    seconds: dict[str, float]
    search_seconds: Seconds
    settings: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """What the manifest of a saved result says."""
        return {
            "constraint": self.settings["constraint"],
            "score": self.score,
            "macs": {name: cost.macs for name, cost in self.cost.items()},
            "params": {name: cost.params for name, cost in self.cost.items()},
            "evaluations": len(self.history),
            "attributes": self.network.stated(self.network.alive(self.plan.kept or ())),
            "settings": self.settings,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }

    def save(self, directory: str | Path, *, force: bool = False) -> Path:
        """Write the small network; `gnnrl.load(fresh_model, directory)` reads it back.

        Raises:
            ConfigError: the directory is there and not empty.
        """
        return bundle.save(directory, self.model, self.plan, self.facts(), force=force)

    def export(
        self, path: str | Path, example_inputs: Any = None, *, dense: nn.Module | None = None, **settings: Any
    ) -> Export:
        """Write the small network for others: ONNX (.onnx), torch.export (.pt2), or a patch of widths (.py).

        Args:
            example_inputs: as for `compress`; for .onnx and .pt2.
            dense: the network that was compressed, or another instance of its class; for .py.
            settings: `form`, `dynamic_batch`, `opset` and `force`, see `gnnrl.exporting.formats.export`.
        """
        return export(self.model, path, example_inputs=example_inputs, dense=dense, **settings)


def compress(
    model: nn.Module,
    example_inputs: Any,
    constraint: str,
    *,
    evaluate: Evaluate | Iterable[Any],
    calibration: Iterable[Any] | None = None,
    test: Evaluate | Iterable[Any] | None = None,
    finetune: Callable[[nn.Module], Any] | None = None,
    searcher: str | Searcher = "ppo",
    episodes: int = 150,
    importance: str = "curves",
    repair: str = "ls",
    rules: WidthRules | None = None,
    network: Network | None = None,
    calibration_images: int = 500,
    seed: int = 0,
    device: str | torch.device | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> CompressionResult:
    """Search, prune, repair, verify and fine-tune a network.

    Args:
        model: any module that `torch.export` accepts; it is not changed.
        example_inputs: a tensor, a tuple or a dictionary of inputs, batch dimension first.
        constraint: a limit, such as `macs<=50%`, or several joined by commas.
        evaluate: the reward: a function from a network to a score (higher is better), or batches (x, y) for top-1.
        calibration: batches x or (x, y) for error curves and repair; labels only for the criterion `taylor`.
        test: the same as `evaluate`, read after the search for each entry of `score`, never by the search.
        finetune: trains the small network in place.
        searcher: "ppo", "random", "uniform", "ranked", "curves", or a function of a `Task`.
        episodes: reward evaluations that the search may use.
        importance: which units go first: "curves", "l1", "l2", "bn_scale", "taylor" or "random".
        repair: "ls" (least squares and batch normalisation), "bn" or "none".
        rules: allowed widths.
        network: what `trace` returned for this model, to save tracing it again.
        device: where to compute; by default where the model is.
        on_stage: called with the name of each stage as it begins.
        on_trial: called after each evaluation.

    Raises:
        GnnrlError: see `gnnrl.errors`; nothing is written in any case.
    """
    clock = _Clock(on_stage)
    judge, read = as_evaluate(evaluate), None if test is None else as_evaluate(test)
    search = find_searcher(searcher)
    _check(importance, calibration, repair, episodes)
    dense = copy.deepcopy(unwrapped(model)).eval()
    dense = dense if device is None else dense.to(device)
    clock.begin("trace")
    network = network or trace(dense, _moved(example_inputs, dense))
    projection = Projection.build(network, constraint, rules)
    clock.begin("calibrate")
    record = None if calibration is None else calibrate(dense, calibration, images=calibration_images)
    curves, scores = _signals(dense, network, record, importance, seed)
    orders = [curve.order for curve in curves] if importance == "curves" else removal_orders(scores)
    evaluator = Evaluator(dense, network, judge, orders, record, repair)
    judged(judge, dense, "the dense network")
    clock.begin("search")
    used = 1 if isinstance(searcher, str) and searcher in CLOSED_FORM else episodes
    best = run(search, Task(projection, evaluator, curves, scores, used, seed, on_trial))
    clock.begin("verify")
    plan = evaluator.plan(best.widths)
    assert plan.kept is not None
    pruned = remove(dense, network, plan.kept)
    verification = verify(dense, pruned, network, plan.kept, _moved(example_inputs, dense))
    small = evaluator.build(plan)
    final = read or judge
    repaired = copy.deepcopy(small) if finetune else small
    if finetune:
        clock.begin("finetune")
        finetune(small)
        small.eval()
    clock.begin("test")
    candidates = {"dense": dense, "pruned": pruned, "repaired": repaired} | ({"finetuned": small} if finetune else {})
    score = {name: judged(final, candidate) for name, candidate in candidates.items()}
    clock.end()
    return CompressionResult(
        model=small,
        plan=plan,
        network=network,
        score=score,
        reward=best.score,
        history=tuple(evaluator.trials),
        cost={"dense": measure(network), "pruned": measure(network, plan)},
        verification=verification,
        seconds=clock.seconds,
        search_seconds=evaluator.seconds,
        settings={
            "constraint": str(constraint),
            "searcher": searcher if isinstance(searcher, str) else getattr(searcher, "__name__", "own"),
            "episodes": episodes,
            "importance": importance,
            "repair": repair,
            "seed": seed,
        },
    )


def as_evaluate(judge: Evaluate | Iterable[Any]) -> Evaluate:
    """A function from a network to its score, from such a function or from batches (x, y).

    Raises:
        ConfigError: neither.
    """
    if callable(judge):
        return judge
    if not hasattr(judge, "__iter__"):
        raise ConfigError(f"evaluate must be a function of a network or batches (x, y), got {type(judge).__name__}")
    if isinstance(judge, Iterator):
        raise ConfigError("evaluate and test are read several times; give a loader or a list, not a generator")

    def score(model: nn.Module) -> float:
        return top1(model, judge, str(_device(model)))

    return score


def _check(criterion: str, calibration: Iterable[Any] | None, repair: str, episodes: int) -> None:
    known = ("curves", *CRITERIA)
    if criterion not in known:
        raise ConfigError(f"unknown importance criterion {criterion!r}; choose one of {', '.join(known)}")
    if episodes < 1:
        raise ConfigError(f"a search needs at least one evaluation, got episodes={episodes}")
    find_repair(repair)
    if calibration is None and (criterion in ("curves", "taylor") or repair != "none"):
        raise ConfigError(
            f"importance {criterion!r} and repair {repair!r} look at calibration data; give `calibration` (a few "
            "hundred inputs), or choose importance='l2' and repair='none'"
        )


def _signals(
    model: nn.Module, network: Network, record: Calibration | None, criterion: str, seed: int
) -> tuple[list[Curve], list[np.ndarray[Any, np.dtype[np.float64]]]]:
    """Error curves (from weights alone without calibration) and the scores of the criterion."""
    batches = record.batches() if record is not None and criterion == "taylor" else None
    scores = score_units("l2" if criterion == "curves" else criterion, model, network, batches, seed)
    return error_curves(model, network, record), scores


def _moved(example_inputs: Any, model: nn.Module) -> Any:
    return tree_map_only(torch.Tensor, lambda value: value.to(_device(model)), example_inputs)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


class _Clock:
    """Times the stages and announces them."""

    def __init__(self, on_stage: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_stage = on_stage
        self._stage: str | None = None
        self._start = perf_counter()

    def begin(self, stage: str) -> None:
        self.end()
        self._stage, self._start = stage, perf_counter()
        if self._on_stage:
            self._on_stage(stage)

    def end(self) -> None:
        if self._stage is not None:
            self.seconds[self._stage] = perf_counter() - self._start
        self._stage = None
