"""PruningEnv: the DNN-graph environment (Yu et al. 2022) as a Gymnasium environment.

    dense network -> size evaluator -> (limit not met) -> graph generator -> agent -> action
         ^                                                                        |
         +-------------------------- pruner: the narrower network <--------------+
    limit met -> accuracy evaluator -> reward, terminated

The graph is built again after every step, at the current widths. Within an episode only widths change. This suffices
because the costs at the widths are those of the pruned network (a test proves it). The network is only pruned,
repaired and scored when the limit holds.
"""

from collections.abc import Callable
from typing import Any, Literal, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gnnrl.agent.observation import GraphState, Observation, observation_space, to_space
from gnnrl.environment.features import observe
from gnnrl.errors import ConfigError
from gnnrl.network.hierarchy import find_hierarchy
from gnnrl.network.labels import Component
from gnnrl.pruning.allocation import WISH_BOUND
from gnnrl.pruning.projection import Projection

MISSED = -1.0
FREE_RATIO = 0.5
Decode = Callable[[Projection, NDArray[np.float64]], Component]
"""Maps a wish [G], one number for each group, to widths [G] within a projection. Zeros give the starting plan."""


class PruningEnv(gymnasium.Env[GraphState, NDArray[np.float32]]):
    """Environment of one network and one limit.

        env = PruningEnv(Projection.build(network, "macs<=50%"), score=lambda widths: my_score(widths))
        observation, info = env.reset(seed=0)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

    The action holds one number for each group. With `projection="exact"` it is the distance from the starting plan
    (`decode`), and is projected onto the limit of the step. Limits fall geometrically, so every episode meets its limit
    after exactly `steps` steps. With `projection="none"`, the paper's free dynamics, each step removes a share of every
    group: nothing at the lowest action, half of the group at the highest. The episode ends when the limit holds or
    after `max_steps`.

    The reward is 0 until the episode ends, then the score of the pruned network. An episode that misses the limit is
    truncated, and its reward is -1.

    Args:
        projection_onto: the network, its limit and the allowed widths.
        score: scores widths [G] that meet the limit; higher is better.
        decode: turns an action into widths; by default as a distance from equal keep ratios (`Projection.around`).
        signals: further features of each group for the policy [G, K].
        steps: pruning steps in an episode with exact projection.
        max_steps: steps after which a free episode is cut off.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own attribute)

    def __init__(
        self,
        projection_onto: Projection,
        score: Callable[[Component], float],
        *,
        decode: Decode | None = None,
        signals: NDArray[np.float32] | None = None,
        steps: int = 1,
        projection: Literal["exact", "none"] = "exact",
        max_steps: int = 5,
    ) -> None:
        if steps < 1 or max_steps < 1 or projection not in ("exact", "none"):
            raise ConfigError(
                f"steps and max_steps must be at least 1 and projection 'exact' or 'none', got {steps}, {max_steps} "
                f"and {projection!r}"
            )
        self._target = projection_onto
        self._score = score
        self._decode = decode or _around_uniform
        self._signals = signals
        self._steps = steps if projection == "exact" else max_steps
        self._exact = projection == "exact"
        self._hierarchy = find_hierarchy(projection_onto.network)
        self._dense = projection_onto.network.cost.measure(projection_onto.network.widths)
        self._begin()
        groups = len(projection_onto.network.groups)
        self.action_space = spaces.Box(-WISH_BOUND, WISH_BOUND, (groups,), np.float32)
        self.observation_space = cast("spaces.Space[GraphState]", observation_space(self.observation()))

    @property
    def prior(self) -> Component:
        """Widths of the starting plan, which is action 0 at the limit [G]."""
        return self._decode(self._target, np.zeros(len(self._target.network.groups)))

    def observation(self) -> Observation:
        """Return the state as tensors: the hierarchical graph of the network at its current widths."""
        return observe(
            self._hierarchy, self.widths, self._target.budget, time=self._time / self._steps, signals=self._signals
        )

    def _begin(self) -> None:
        self.widths = self._target.network.widths
        self._left = self.widths.astype(np.float64)
        self._time = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[GraphState, dict[str, object]]:
        """Start from the dense network."""
        super().reset(seed=seed, options=options)
        self._begin()
        return to_space(self.observation()), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[GraphState, float, bool, bool, dict[str, object]]:
        """Prune the network by one step.

        Returns:
            The graph of the narrower network, the reward, whether the limit holds, whether the episode was cut off, and
            {"widths", "macs", "score"}.
        """
        wish = np.clip(np.asarray(action, np.float64), -WISH_BOUND, WISH_BOUND)
        self._time += 1
        self.widths = self._projected(wish) if self._exact else self._removed(wish)
        terminated = self._target.holds(self.widths)
        truncated = not terminated and self._time >= self._steps
        reward, info = MISSED if truncated else 0.0, self._info()
        if terminated:
            reward = info["score"] = float(self._score(self.widths))
        return to_space(self.observation()), reward, terminated, truncated, info

    def _projected(self, wish: NDArray[np.float64]) -> Component:
        budget = self._target.budget.on_the_way(self._dense, self._time / self._steps)
        step = self._target.step(self.widths, budget)
        if not step.holds(step.narrowest):
            step = self._target.step(self._target.network.widths, budget)
        return self._decode(step, wish)

    def _removed(self, wish: NDArray[np.float64]) -> Component:
        self._left = self._left * (1 - FREE_RATIO * (wish + WISH_BOUND) / (2 * WISH_BOUND))
        pairs = zip(self._target.ladders, self._left + 1e-9, strict=True)
        return np.array([ladder[max(np.searchsorted(ladder, width, side="right") - 1, 0)] for ladder, width in pairs])

    def _info(self) -> dict[str, object]:
        return {"widths": self.widths.copy(), "macs": self._target.network.cost.measure(self.widths).macs}


def _around_uniform(projection: Projection, wish: NDArray[np.float64]) -> Component:
    uniform = projection.of_logits(np.zeros(len(wish)))
    return projection.around(uniform, wish)
