"""The paper's agent: `from gnnrl.lib.RL.agent import Agent, ActorCritic, ActorNetwork, CriticNetwork, Memory`."""

from gnnrl._seed_api.agent import Agent
from gnnrl._seed_api.networks import ActorCritic, ActorNetwork, CriticNetwork, Memory, MultiStageGraphEncoder

multi_stage_graph_encoder = MultiStageGraphEncoder

__all__ = ["ActorCritic", "ActorNetwork", "Agent", "CriticNetwork", "Memory", "multi_stage_graph_encoder"]
