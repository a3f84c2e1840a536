"""The environment of the agent, which turns networks into observations. No other folder connects the two."""

from gnnrl.environment.pruning_env import PruningEnv

__all__ = ["PruningEnv"]
