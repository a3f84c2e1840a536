"""The GNN-RL search: PPO with a multi-stage graph policy, started at the closed-form plan."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic, Policy
from gnnrl.agent.ppo import PPO, PPOConfig
from gnnrl.agent.rollout import Rollout, Step
from gnnrl.environment import PruningEnv
from gnnrl.searchers.task import Task

PolicyFactory = Callable[[Observation, int], Policy]
_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class PPOSearcher:
    """Searches with PPO.

    Attributes:
        config: settings of PPO.
        policy: makes an actor-critic from a first observation and a seed; any `Policy` will do, by default gnnrl's own.
        steps: pruning steps in an episode.
        projection: "exact", or "none" for the paper's free dynamics.
        max_steps: steps after which a free episode is cut off.
    """

    config: PPOConfig = field(default_factory=PPOConfig)
    policy: PolicyFactory | None = None
    steps: int = 1
    projection: Literal["exact", "none"] = "exact"
    max_steps: int = 5

    def environment(self, task: Task) -> PruningEnv:
        """The environment of a task."""
        return PruningEnv(
            task.projection,
            task.score,
            prior=task.prior,
            signals=task.signals(),
            steps=self.steps,
            projection=self.projection,
            max_steps=self.max_steps,
        )

    def _policy(self, observation: Observation, seed: int) -> Policy:
        if self.policy is not None:
            return self.policy(observation, seed)
        return ActorCritic.build(observation, seed=seed, log_std_init=self.config.log_std_init)

    def __call__(self, task: Task) -> None:
        """Search until the budget of the task is spent, or no new plan was met for a long time."""
        env = self.environment(task)
        env.reset(seed=task.seed)
        agent = PPO(self._policy(env.observation(), task.seed), self.config, task.seed)
        task.score(env.prior)
        idle = 0
        while idle < _PATIENCE * task.evaluations:
            judged = len(task.evaluator.trials)
            rollout = Rollout()
            for _ in range(self.config.n_steps):
                _play(env, agent, rollout)
            agent.update(rollout, judged / task.evaluations)
            _play(env, agent, Rollout(), deterministic=True)
            idle = 0 if len(task.evaluator.trials) > judged else idle + self.config.n_steps


def _play(env: PruningEnv, agent: PPO, rollout: Rollout, *, deterministic: bool = False) -> None:
    """Play one episode and append its steps; the mode of the policy is played for its plan, not to learn from it."""
    env.reset()
    done = False
    while not done:
        observation = env.observation()
        decision = agent.act(observation, deterministic)
        _, reward, terminated, truncated, _ = env.step(decision.action.numpy())
        done = terminated or truncated
        following = 0.0 if terminated else agent.value(env.observation())
        rollout.add(
            Step(
                observation,
                decision.action,
                decision.log_prob,
                decision.value,
                reward,
                terminated,
                truncated,
                following,
            )
        )
