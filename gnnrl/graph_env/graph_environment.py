"""The paper's environment: `from gnnrl.graph_env.graph_environment import graph_env`."""

from gnnrl._seed_api.environment import GraphEnv

graph_env = GraphEnv

__all__ = ["graph_env"]
