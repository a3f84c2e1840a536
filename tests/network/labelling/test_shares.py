"""Shares of the multiply-accumulates that compute the channels of each group."""

import pytest

from gnnrl.network.structure import Network
from tests.topologies import traced


def shares(network: Network) -> dict[str, float]:
    return {group.name: group.macs_share for group in (*network.groups, *network.frozen) if group.macs_share}


def test_shares_by_hand() -> None:
    """chain: 3→8 at 8x8, 8→16 and 16→12 at 4x4, linear 12→5."""
    macs = {"0.0": 64 * 9 * 3 * 8, "2.0": 16 * 9 * 8 * 16, "4.0": 16 * 9 * 16 * 12, "5.linear": 12 * 5}

    assert shares(traced("chain").network) == pytest.approx({name: n / sum(macs.values()) for name, n in macs.items()})


@pytest.mark.parametrize(
    "name", ["residual", "dense_block", "unet", "transposed_convolution", "weight_norm", "recurrent"]
)
def test_layers_share_all_multiply_accumulates(name: str) -> None:
    assert sum(shares(traced(name).network).values()) == pytest.approx(1)
