"""Choice of a repair, and a repair that cannot use all images."""

import copy

import pytest
import torch
from torch import Tensor, nn

import gnnrl
from gnnrl.errors import ConfigError, GnnrlWarning
from gnnrl.network.surgery import remove
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.reconstruction import REPAIRS, find_repair, repair, unsolved
from tests.pruning.calibration.streams import in_parts
from tests.topologies import images, traced


def test_batch_normalisation_alone_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match="no BatchNorm"):
        find_repair("bn", traced("layer_norm_mlp").model)
    assert find_repair("bn", traced("chain").model) == REPAIRS["bn"]


class Choosing(nn.Module):
    """Does more for images with a large mean."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        if not torch.compiler.is_exporting() and x.mean() > 0:
            y = y.sin() + y
        found: Tensor = self.b(y.relu())
        return found


def test_a_network_that_takes_other_ways_is_repaired_with_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = Choosing().eval()
    x = torch.cat([images(batch=30, size=10) - 2, images(batch=30, size=10) + 2])
    network = gnnrl.trace(model, x[:2])
    kept = [range(max(1, group.size // 2)) for group in network.groups]
    small = remove(model, network, kept)
    before = copy.deepcopy(small)
    in_parts(monkeypatch)

    with pytest.warns(GnnrlWarning, match="uses 9 of 60 calibration images"):
        repair(small, network, kept, calibrate(model, [x]))

    assert not torch.isin(small.b.weight, before.b.weight).any()


class Tokens(nn.Module):
    """An embedding, a transposed convolution, a normalised weight and a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up = nn.Embedding(10, 16), nn.ConvTranspose1d(16, 12, 2, 2)
        self.normed, self.plain = nn.utils.parametrizations.spectral_norm(nn.Conv1d(12, 8, 1)), nn.Conv1d(8, 3, 1)

    def forward(self, words: Tensor) -> Tensor:
        y = self.normed(self.up(self.embed(words).transpose(1, 2)).relu()).relu()
        found: Tensor = self.plain(y)
        return found


def test_weights_that_cannot_be_solved_are_named() -> None:
    torch.manual_seed(0)
    model, words = Tokens().eval(), torch.randint(10, (40, 6))
    network = gnnrl.trace(model, words[:2])
    kept = [range(group.size // 2) for group in network.groups]
    small = remove(model, network, kept)
    done = repair(small, network, kept, calibrate(model, [words]))

    assert done.solved == {"plain.weight"}
    assert unsolved(small, network, kept, done.solved) == ("normed.parametrizations.weight.original", "up.weight")
