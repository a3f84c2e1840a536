"""AMC: an agent walks through the network, decides about group by group, and the whole plan is scored at the end.

He et al. 2018, "AMC: AutoML for Model Compression and Acceleration on Mobile Devices", https://arxiv.org/abs/1802.03494.
AMC clips the actions of late layers so that the limit can still be met. Here the whole plan is projected onto the
limit, as with all searchers. The agent learns from every walk before the next one, so plans are scored one by one with
every executor.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from gnnrl.agent.ddpg import DDPG, DDPGConfig
from gnnrl.network.labels import Component
from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import SPREAD, plan_of

_EDGE = 1e-3


@dataclass(frozen=True, slots=True)
class DDPGSearcher:
    """Search with DDPG.

    Attributes:
        config: settings of DDPG.
        start: meaning of an action: "prior" for a distance from the closed-form plan (one half keeps it), or "ratio"
            for AMC's keep ratio, which does not use the closed form.
    """

    config: DDPGConfig = field(default_factory=DDPGConfig)
    start: Literal["prior", "ratio"] = "prior"

    def __call__(self, task: Task) -> None:
        """Play episodes, first at random, then with noise, and learn after each one with a new plan."""
        walk = _Walk(task, self)
        agent = DDPG(walk.state_dim, self.config, task.seed)
        if self.start == "prior":
            task.score(task.prior(task.projection))
        while True:
            learning = len(task.trials) >= self.config.warmup * task.evaluations
            states, actions = walk.play(agent, learning=learning)
            scored = len(task.trials)
            score = task.score(walk.plan(actions))
            is_new = len(task.trials) > scored
            if is_new:
                agent.remember(states, actions, score)
            if learning:
                agent.end_episode(is_new=is_new)
            if learning and is_new:
                for _ in range(len(actions)):
                    agent.update()


class _Walk:
    """States of a walk through the groups of a network.

    A state has facts about the group (`Task.signals`, position, size, price) and about the walk so far: the removed
    share, the share of the groups that follow, and the last action. Every column lies in [0, 1].
    """

    def __init__(self, task: Task, settings: DDPGSearcher) -> None:
        self.task, self.settings = task, settings
        network = task.network
        widths, groups = network.widths, len(network.widths)
        price = network.cost.price("macs", widths) * widths
        params = network.cost.price("params", widths) * widths
        position = np.arange(groups) / max(groups - 1, 1)
        columns = (position, widths / widths.max(), price / price.max(), params / params.max())
        facts = np.column_stack([*columns, task.signals()])
        spread = np.ptp(facts, axis=0)
        self.facts = (facts - facts.min(0)) / np.where(spread > 0, spread, 1.0)
        self.share = price / price.sum()
        self.state_dim = self.facts.shape[1] + 3

    def play(self, agent: DDPG, *, learning: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return states [G, S] and actions [G] of one walk."""
        states: list[NDArray[np.float32]] = []
        actions: list[float] = []
        removed, rest, last = 0.0, 1.0, 1.0
        for facts, share in zip(self.facts, self.share, strict=True):
            rest -= share
            states.append(np.array([*facts, removed, rest, last], np.float32))
            last = agent.act(states[-1]) if learning else agent.act_at_random()
            actions.append(last)
            removed += share * (1 - last)
        return np.stack(states), np.array(actions, np.float32)

    def plan(self, actions: NDArray[np.float32]) -> Component:
        """Return the widths [G] for the actions [G] of a walk."""
        logits = logit(actions.astype(np.float64).clip(_EDGE, 1 - _EDGE))
        if self.settings.start == "prior":
            return plan_of(self.task, SPREAD * logits)
        return self.task.projection.of_logits(logits)
