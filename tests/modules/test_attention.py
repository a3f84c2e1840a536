"""torch's own attention with fewer heads: the same results, and attributes that say the truth."""

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.modules.attention import NarrowMultiheadAttention, narrow_all
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.verification import mask
from tests.topologies import traced
from tests.topologies.transformers import Attending

SETTINGS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"kdim": 5, "vdim": 7},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masks", ["none", "scores", "heads", "padding", "both"])
def test_it_computes_what_torchs_attention_computes(settings: Any, need_weights: bool, masks: str) -> None:
    dense = nn.MultiheadAttention(8, 4, **settings).eval()
    narrow = narrow_all(copy.deepcopy(dense))
    query = torch.randn(3, 5, 8) if settings.get("batch_first") else torch.randn(5, 3, 8)
    key, value = (torch.randn(*query.shape[:2], settings.get(name, 8)) for name in ("kdim", "vdim"))
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    given: dict[str, Any] = {"need_weights": need_weights}
    if masks in ("scores", "both"):
        given["attn_mask"] = torch.randn(5, 5)
    if masks == "heads":
        given["attn_mask"] = torch.eye(5, dtype=torch.bool).expand(12, 5, 5)
    if masks in ("padding", "both"):
        given["key_padding_mask"] = padding if masks == "padding" else torch.zeros(3, 5).masked_fill(padding, -3.0)

    assert type(narrow) is NarrowMultiheadAttention
    with torch.no_grad():
        for average in (True, False):
            expected = dense(query, key, value, average_attn_weights=average, **given)
            found = narrow(query, key, value, average_attn_weights=average, **given)
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_single_sequence_needs_no_batch(batch_first: bool) -> None:
    dense = nn.MultiheadAttention(8, 4, batch_first=batch_first)
    narrow, x = narrow_all(copy.deepcopy(dense)), torch.randn(5, 8)

    torch.testing.assert_close(narrow(x, x, x), dense(x, x, x))


def test_its_attributes_say_what_its_weights_are() -> None:
    case = traced("cross_attention_separate")
    widths = {"query": 6, "key": 3, "value": 2, "attention": 2}
    kept = [np.arange(widths[group.name]) for group in case.network.groups]

    attention: Any = remove(case.model, case.network, kept).attention

    assert type(attention) is NarrowMultiheadAttention
    assert (attention.embed_dim, attention.kdim, attention.vdim) == (6, 3, 2)
    assert (attention.num_heads, attention.head_dim) == (2, 2)


def test_torchs_own_class_stays_where_it_can_hold_the_heads() -> None:
    model = Attending(4).eval()
    inputs = (torch.randn(5, 2, 6), torch.randn(5, 2, 6))
    network = trace(model, inputs)
    kept = [np.arange({"query": 4, "key": 4, "attention": 2}[group.name]) for group in network.groups]

    small: Any = remove(model, network, kept)

    assert type(small.attention) is nn.MultiheadAttention
    assert (small.attention.embed_dim, small.attention.num_heads) == (4, 2)
    assert small(*inputs).shape == (5, 2, 4)


def test_fused_kernels_keep_off_narrow_heads() -> None:
    """torch's encoder has a fused path in evaluation, with padding packed away; both compute with `embed_dim`."""
    layer = nn.TransformerEncoderLayer(8, 4, 12, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, mask_check=False).eval()
    x, padding = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    network = trace(model, x)
    kept = [np.arange(2 if group.kind == "heads" else group.size) for group in network.groups]
    small = remove(model, network, kept)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The PyTorch API of nested tensors")
        expected = mask(model, network, kept)(x, src_key_padding_mask=padding)
        found = small(x, src_key_padding_mask=padding)
    torch.testing.assert_close(found[~padding], expected[~padding])
    assert {group.kind for group in network.groups} == {"heads", "hidden"}


def test_an_attention_that_loses_its_average_loses_heads() -> None:
    """`need_weights` is true by default, and its average over heads mostly thrown away."""
    network = traced("cross_attention").network

    assert [group.size for group in network.groups if group.kind == "heads"] == [4]
