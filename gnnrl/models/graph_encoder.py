"""The paper's encoder: `from gnnrl.models.graph_encoder import multi_stage_graph_encoder`."""

from gnnrl._seed_api.networks import MultiStageGraphEncoder

multi_stage_graph_encoder = MultiStageGraphEncoder

__all__ = ["multi_stage_graph_encoder"]
