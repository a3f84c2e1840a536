"""The environment of the agent: the only place where a network meets what the policy sees of it."""

from gnnrl.environment.pruning_env import PruningEnv

__all__ = ["PruningEnv"]
