import dataclasses

import pytest
import torch

from gnnrl.agent.batching import batch
from gnnrl.agent.encoder import MultiStageEncoder, graph_embedding
from gnnrl.agent.observation import Observation
from gnnrl.errors import ConfigError
from tests.agent.problems import chain, permuted, with_features


def encoder(stages: int = 2, seed: int = 0) -> MultiStageEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiStageEncoder(operation_dim=5, node_dim=7, hidden_dim=16, embedding_dim=8, stages=stages)


@pytest.mark.parametrize("stages", [1, 2])
def test_renumbering_the_nodes_renumbers_their_embeddings(stages: int) -> None:
    observation, order, encode = chain(num_groups=6), torch.randperm(12), encoder(stages)
    torch.testing.assert_close(encode(batch([permuted(observation, order)])), encode(batch([observation]))[order])


def test_renumbering_operations_and_motifs_changes_nothing() -> None:
    observation, encode = chain(num_groups=6, num_motifs=3), encoder()
    order = torch.randperm(9)
    motifs = torch.tensor([2, 0, 1])
    renumbered = dataclasses.replace(
        observation,
        operation_x=observation.operation_x[order],
        operation_edge_index=order.argsort()[observation.operation_edge_index],
        operation_motif=motifs[observation.operation_motif][order],
        motif=torch.where(observation.motif < 0, -1, motifs[observation.motif]),
    )
    torch.testing.assert_close(encode(batch([renumbered])), encode(batch([observation])))


@pytest.mark.parametrize("stages", [1, 2])
def test_a_batch_is_embedded_like_a_loop(stages: int) -> None:
    observations = [chain(2), chain(5, seed=1), chain(2), with_features(chain(2), chain(2, seed=9).x)]
    encode, joined = encoder(stages), batch(observations)
    nodes = encode(joined)
    graphs = graph_embedding(nodes, joined)[joined.observation_graph]
    alone = [batch([observation]) for observation in observations]
    torch.testing.assert_close(
        nodes[joined.group_nodes], torch.cat([encode(single)[single.group_nodes] for single in alone])
    )
    torch.testing.assert_close(graphs, torch.cat([graph_embedding(encode(single), single) for single in alone]))


def test_equal_motifs_are_embedded_once() -> None:
    """Eight states of a chain of 20 blocks with 2 motifs: 6 operations are embedded, not 8 * 20 * 3."""
    encode, rows = encoder(), []
    assert encode.motifs is not None
    encode.motifs.input.register_forward_hook(lambda _module, inputs, _output: rows.append(len(inputs[0])))
    observation = chain(num_groups=20)
    encode(batch([with_features(observation, observation.x * scale) for scale in range(1, 9)]))
    assert rows == [6]


def changed_by_an_operation(observation: Observation, stages: int) -> torch.Tensor:
    encode = encoder(stages)
    other = dataclasses.replace(observation, operation_x=observation.operation_x + 1)
    difference: torch.Tensor = encode(batch([other])) - encode(batch([observation]))
    return difference.abs().sum(dim=1) > 1e-6


def test_operations_are_seen_with_two_stages_and_not_with_one() -> None:
    assert changed_by_an_operation(chain(), stages=2).all()
    assert not changed_by_an_operation(chain(), stages=1).any()


def test_direction_and_type_of_an_edge_matter() -> None:
    observation, encode = chain(), encoder()
    reversed_edges = dataclasses.replace(observation, edge_index=observation.edge_index.flip(0))
    assert not torch.allclose(encode(batch([observation])), encode(batch([reversed_edges])))


def test_the_same_seed_gives_the_same_encoder() -> None:
    single = batch([chain()])
    assert torch.equal(encoder(seed=3)(single), encoder(seed=3)(single))


def test_another_number_of_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match="stages=3"):
        encoder(stages=3)
