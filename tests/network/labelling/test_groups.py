"""Which channels go together, by hand."""

import pytest

from gnnrl.network.reasons import Kind
from tests.topologies import traced

GROUPS = {
    "chain": {"0.0": 8, "2.0": 16, "4.0": 12},
    "residual": {"0.0": 12, "1.conv1.0": 12, "2.conv1.0": 12},
    "padding_shortcut": {"0.0": 8, "1.conv1.0": 8, "2.conv1.0": 16, "3.conv1.0": 16},
    "projection_shortcut": {"0.0": 8, "1.conv1.0": 8, "2.conv1.0": 16, "2.conv2.0": 16, "3.conv1.0": 16},
    "concat": {"stem.0": 6, "a.0": 8, "b.0": 10, "last.0": 12},
    "cascaded_concat": {"a.0": 6, "b.0": 8, "c.0": 8, "d.0": 4},
    "depthwise": {"0.0": 8, "2.0": 16, "4.0": 12},
    "depthwise_multiplier": {"0.0": 8, "2.0": 12},
    "grouped_many": {"0.0": 8, "2.0": 8},
    "grouped_wide": {"0.0": 8, "1.0": 6, "2.0": 8},
    "squeeze_excitation": {"0.0": 12, "1.reduce": 4, "2.0": 8},
    "squeeze_excitation_linear": {"stem.0": 12, "reduce": 4},
    "shared_module": {"stem.0": 8},
    "flatten_linear": {"0.0": 6, "3": 10},
    "two_inputs": {"image.0": 8, "last.0": 6},
    "channel_chunk": {"stem.0": 8, "a.0": 8},
    "space_slice": {"stem.0": 6, "last.0": 8},
    "pixel_shuffle": {"0.0": 6, "2.0": 8, "4": 8},
    "transposed_grouped": {"0.0": 4},
    "group_norm": {"0": 4, "3": 8},
    "attention": {"0": 16, "1.qkv": 4},
    "attention_fused": {"0": 16, "1.qkv": 4},
    "separate_projections": {"q": 3},
    "embedding": {"0": 8, "1": 12},
    "tied_embedding": {"embedding": 8},
    "tied_convolutions": {"0.0": 8},
    "without_rule": {},
    "fourier": {"a.0": 8, "b.0": 6, "c.0": 10},
    "einsum_attention": {"q": 3},
    "masked_heads": {"qkv": 3},
    "transformer_decoder": {
        "embed": 8,
        "layer.self_attn": 4,
        "layer.multihead_attn": 4,
        "layer.linear1": 12,
    },
    "unet": {"a.0": 6, "b.0": 10, "c.0": 8},
    "spatial_attention": {"a.0": 8},
    "sum_over_channels": {"a.0": 8, "c.0": 6},
    "similarity": {"stem.0": 8, "a": 6},
    "linear_attention": {"v": 8},
    "non_local": {"stem.0": 8, "q": 4, "v": 6},
    "rotary_halves": {"stem": 8, "qkv": 3},
    "rotary_neighbours": {"stem": 8, "qkv": 3},
    "recurrent": {"stem": 6, "lstm": 8, "hidden": 10},
    "recurrent_directions": {"stem": 6, "gru": 7, "hidden": 10},
    "recurrent_projected": {"body": 6},
    "recurrent_states": {"encoder": 8, "stem": 6, "hidden": 10},
    "recurrent_cells": {"stem": 6, "start": 8, "lstm": 7, "plain": 9},
    "spectral_norm_transposed": {"0.0": 6, "1": 8, "3.0": 10},
    "unequal_split": {"a.0": 6, "b.0": 8},
}


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_groups_are_those_found_by_hand(name: str) -> None:
    assert {group.name: group.size for group in traced(name).network.groups} == GROUPS[name]


def test_a_group_lives_wherever_its_channels_are_made_normalised_and_read() -> None:
    group = traced("chain").network.group("2.0")

    assert [(place.tensor, place.dim) for place in group.places] == [
        ("2.0.weight", 0),
        ("2.1.weight", 0),
        ("2.1.bias", 0),
        ("2.1.running_mean", 0),
        ("2.1.running_var", 0),
        ("4.0.weight", 1),
    ]


def test_a_flattened_channel_is_as_many_inputs_as_it_has_positions() -> None:
    group = traced("flatten_linear").network.group("0.0")
    place = next(place for place in group.places if place.tensor == "3.weight")

    assert place.positions.shape == (6, 4)
    assert place.positions[1].tolist() == [4, 5, 6, 7]


def test_padded_channels_stay_and_the_others_follow_their_origin() -> None:
    network = traced("padding_shortcut").network
    stream = next(place for place in network.group("0.0").places if place.tensor == "4.linear.weight")

    assert stream.positions.ravel().tolist() == list(range(4, 12))
    assert any(group.reasons[0].kind is Kind.PADDED for group in network.frozen)


def test_concatenated_channels_keep_their_order() -> None:
    network = traced("concat").network
    starts = {}
    for name in ("stem.0", "a.0", "b.0"):
        place = next(place for place in network.group(name).places if place.tensor == "last.0.weight")
        starts[name] = int(place.positions[0, 0])

    assert starts == {"a.0": 0, "b.0": 8, "stem.0": 18}


def test_names_of_groups_are_unique() -> None:
    for name in GROUPS:
        names = [group.name for group in traced(name).network.groups]
        assert len(set(names)) == len(names)
