"""The GNN-RL search: PPO with a multi-stage graph policy that starts at the closed-form plan.

A search can score few plans, and on-policy PPO learns little from few plans. So a model of the reward (`RewardModel`)
is fitted to the trials, and after each batch the actor imitates plans that are optimal for draws of this model (expert
iteration, Anthony et al. 2017, https://arxiv.org/abs/1705.08439; Thompson sampling, Russo et al. 2018,
https://arxiv.org/abs/1707.02038). Predicted rewards are never results: the result is the best trial.

Episodes do not depend on the scores of their batch, so the plans of a batch are scored together at its end.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch

from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.agent.ppo import PPO, PPOConfig
from gnnrl.agent.rollout import Rollout, Step
from gnnrl.environment.pruning_env import PruningEnv
from gnnrl.network.labels import Component
from gnnrl.pruning.allocation import Allocation
from gnnrl.searchers.reward_model import LEAST_PLANS, RewardModel
from gnnrl.searchers.task import Task
from gnnrl.searchers.wishes import new_near, plan_of

PolicyFactory = Callable[[Observation, int], Policy]
_PATIENCE = 4
_DRAWS = 64


@dataclass(frozen=True, slots=True)
class PPOSearcher:
    """Search with PPO.

    Attributes:
        config: settings of PPO.
        policy: makes a `Policy` from a first observation and a seed; by default gnnrl's `ActorCritic`.
        steps: pruning steps in an episode.
        projection: "exact", or "none" for the paper's free dynamics.
        imitations: gradient steps of imitation of the reward model after each batch, if an episode is one exact step;
            0 for plain PPO.
    """

    config: PPOConfig = field(default_factory=PPOConfig)
    policy: PolicyFactory | None = None
    steps: int = 1
    projection: Literal["exact", "none"] = "exact"
    imitations: int = 40

    @property
    def _is_direct(self) -> bool:
        """True if one action makes a plan."""
        return self.steps == 1 and self.projection == "exact"

    def environment(self, task: Task, score: Callable[[Component], float] | None = None) -> PruningEnv:
        """Return the environment of a task. Its plans are scored by `task.score` or by another function."""
        return PruningEnv(
            task.projection,
            score or task.score,
            decode=task.plan,
            signals=task.signals(),
            steps=self.steps,
            projection=self.projection,
        )

    def _policy(self, observation: Observation, seed: int) -> Policy:
        if self.policy is not None:
            return self.policy(observation, seed)
        return ActorCritic.build(observation, head="own", seed=seed, log_std_init=self.config.log_std_init)

    def __call__(self, task: Task) -> None:
        """Search until the evaluations are spent, or the policy finds only known plans for a long time.

        If episodes of a batch find known plans, new plans around the policy's mode replace them, so that the reward
        model learns from every batch.
        """
        plans: list[Component] = []

        def ask(widths: Component) -> float:
            """Ask for the score of an episode's plan, and return a placeholder for its reward."""
            task.ask(widths)
            plans.append(widths)
            return 0.0

        env = self.environment(task, ask)
        env.reset(seed=task.seed)
        agent = PPO(self._policy(env.observation(), task.seed), self.config, task.seed)
        task.ask(env.prior)
        rng, idle, batch = np.random.default_rng(task.seed), 0, self.config.n_steps
        while idle < _PATIENCE * (batch if self._is_direct else task.evaluations):
            used = task.used
            rollout = Rollout()
            plans.clear()
            for _ in range(batch):
                _play(env, agent, rollout)
            if self._is_direct:
                mode = agent.act(env.observation(), deterministic=True).action.double().numpy()
                while task.used < used + batch:
                    near = plan_of(task, new_near(task, mode, math.exp(self.config.log_std_init), rng))
                    if task.is_known(near):
                        break
                    task.ask(near)
            task.tell()
            scores = map(task.reward, plans)  # of the episodes that reached the limit, in order
            steps = [replace(step, reward=next(scores)) if step.terminated else step for step in rollout.steps]
            agent.update(Rollout(steps))
            if task.used > used:
                self._learn(task, agent, env.observation(), rng)
            _play(env, agent, Rollout(), deterministic=True)
            idle = 0 if task.used > used else idle + batch

    def _learn(self, task: Task, agent: PPO, observation: Observation, rng: np.random.Generator) -> None:
        """Let the actor imitate plans that are optimal for draws of the reward model."""
        trials = task.trials
        if not self.imitations or not self._is_direct or len(trials) < LEAST_PLANS:
            return
        widths = [np.array(trial.widths) for trial in trials]
        allocation = Allocation.build(task.projection, task.curves)
        model = RewardModel.fit(allocation, widths, [trial.score for trial in trials])
        actions = np.stack([model.best_wish(rng) for _ in range(_DRAWS)])
        agent.imitate(observation, torch.from_numpy(actions).float(), self.imitations)


def _play(env: PruningEnv, agent: PPO, rollout: Rollout, *, deterministic: bool = False) -> None:
    """Play one episode and append its steps. `deterministic` plays the mode of the policy."""
    env.reset()
    done = False
    while not done:
        observation = env.observation()
        decision = agent.act(observation, deterministic)
        _, reward, terminated, truncated, _ = env.step(decision.action.numpy())
        done = terminated or truncated
        following = 0.0 if terminated else agent.act(env.observation(), deterministic=True).value
        rollout.add(Step(observation, decision, reward, terminated, truncated, following))
