import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from tests.pruning.calibration.notes import watched


def call_of(layer: nn.Module, *shape: int) -> LayerCall:
    (call,) = watched(layer, torch.randn(shape)).layers
    return call


@pytest.mark.parametrize(
    ("layer", "shape", "matrix", "groups", "channel_dim", "rows"),
    [
        (nn.Conv2d(6, 4, 3), (2, 6, 5, 5), (4, 54), 1, 1, 2),
        (nn.Conv2d(6, 4, 3, groups=2), (2, 6, 5, 5), (4, 27), 2, 1, 2),
        (nn.Linear(6, 4), (2, 7, 6), (4, 6), 1, -1, 14),
        (nn.LayerNorm(6), (2, 7, 6), (6, 1), 6, -1, 14),
        (nn.GroupNorm(2, 6), (2, 6, 5), (6, 1), 6, 1, 2),
    ],
)
def test_weights_are_a_matrix_whose_rows_are_outputs(
    layer: nn.Module, shape: tuple[int, ...], matrix: tuple[int, int], groups: int, channel_dim: int, rows: int
) -> None:
    call = call_of(layer, *shape)

    assert (tuple(call.matrix.shape), call.groups, call.channel_dim, call.rows) == (matrix, groups, channel_dim, rows)


def test_a_call_computes_the_layer_with_norm_and_scale_from_what_its_parameters_are_now() -> None:
    conv, norm, scale = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4).eval(), torch.rand(4, 1, 1)
    x = torch.randn(2, 3, 5, 5)
    normalised, scaled = (watched(run, x).layers[0] for run in (lambda x: norm(conv(x)), lambda x: conv(x) * scale))
    with torch.no_grad():
        conv.weight.mul_(2)

        torch.testing.assert_close(normalised.run(), norm(conv(x)))
        torch.testing.assert_close(scaled.run(), conv(x) * scale)


def test_a_normalisation_before_its_scale_has_neither_scale_nor_shift() -> None:
    layer, x = nn.LayerNorm(6), torch.randn(2, 7, 6)
    nn.init.normal_(layer.weight)
    (call,) = watched(layer, x).layers

    torch.testing.assert_close(call.unscaled(), F.layer_norm(x, (6,)))


@pytest.mark.parametrize("training", [False, True])
def test_statistics_stay_where_the_batch_is_normalised_by_its_own(training: bool) -> None:
    mean, variance = torch.ones(3), torch.full((3,), 4.0)
    norm = {"weight": None, "bias": None, "running_mean": mean, "running_var": variance, "eps": 0.0}
    x = torch.randn(64, 3)
    found: Tensor = normalise(x, {**norm, "training": training})

    torch.testing.assert_close(found, (x - x.mean(0)) / x.std(0, correction=0) if training else (x - 1) / 2)
    assert (mean.tolist(), variance.tolist()) == ([1.0] * 3, [4.0] * 3)
