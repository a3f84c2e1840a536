"""Positions of inputs and outputs that are looked at."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gnnrl.pruning.calibration.sampling import Sampler, sampled_inputs, sampled_outputs
from tests.pruning.calibration.notes import watched

EVERYTHING = 10**9


CONVOLUTIONS = [
    nn.Conv2d(3, 4, 3),
    nn.Conv2d(3, 4, 3, padding=1),
    nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)),
    nn.Conv2d(3, 4, 3, dilation=2, padding=2),
    nn.Conv2d(3, 4, 5, stride=2, dilation=2, padding=4),
    nn.Conv2d(3, 4, 1, stride=2),
    nn.Conv2d(3, 4, 3, padding="same"),
    nn.Conv2d(3, 4, 4, padding="same"),
    nn.Conv2d(3, 4, 3, padding="valid"),
    nn.Conv2d(3, 4, 3, padding="same", dilation=3),
    nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch's own
@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.extra_repr())
def test_patches_are_those_of_unfold(layer: nn.Conv2d) -> None:
    x = torch.randn(11, 3, 9, 10)
    (call,) = watched(layer, x).layers
    patches = sampled_inputs(call, EVERYTHING)
    padding = layer.padding
    if isinstance(padding, str) or layer.padding_mode != "zeros":
        mode = layer.padding_mode if layer.padding_mode != "zeros" else "constant"
        amounts = layer._reversed_padding_repeated_twice
        x, padding = F.pad(x, [0] * 4 if padding == "valid" else amounts, mode), 0

    expected = F.unfold(x, layer.kernel_size, layer.dilation, padding, layer.stride).transpose(1, 2).flatten(0, 1)

    assert torch.equal(patches, expected)


LAYERS = [
    *((layer, (11, 3, 9, 10)) for layer in CONVOLUTIONS),
    (nn.Conv1d(3, 4, 3, stride=2, padding=1), (11, 3, 31)),
    (nn.Conv1d(3, 4, 5, dilation=2, padding="same", bias=False), (11, 3, 31)),
    (nn.Conv3d(3, 4, (1, 3, 2), stride=(1, 2, 1), padding=1), (11, 3, 5, 6, 7)),
    (nn.Conv2d(6, 4, 3, groups=2), (11, 6, 9, 10)),
    (nn.Conv2d(6, 12, 3, padding=1, groups=6), (11, 6, 9, 10)),
    (nn.GroupNorm(2, 6), (11, 6, 9, 10)),
    (nn.GroupNorm(2, 6), (11, 6)),
    (nn.LayerNorm(6), (11, 7, 6)),
    (nn.RMSNorm(6), (11, 7, 6)),
    (nn.Linear(3, 4), (11, 3)),
    (nn.Linear(3, 4, bias=False), (11, 7, 3)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch's own
@pytest.mark.parametrize("samples", [1, 40, 300, EVERYTHING])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[str(layer) for layer, _ in LAYERS])
def test_sampled_outputs_are_the_weights_times_the_sampled_inputs(
    layer: nn.Module, shape: tuple[int, ...], samples: int
) -> None:
    (call,) = watched(layer, torch.randn(shape)).layers
    with torch.no_grad():
        output = call.run()
        patches, outputs = sampled_inputs(call, samples), sampled_outputs(output, call, samples)
        inputs, weight = patches.unflatten(1, (call.groups, -1)), call.matrix.unflatten(0, (call.groups, -1))
        predicted = torch.einsum("ngp,gop->ngo", inputs, weight).flatten(1) + (0 if call.bias is None else call.bias)

    torch.testing.assert_close(predicted, outputs, rtol=1e-4, atol=1e-5)
    assert 0 < len(outputs) <= output.numel() // output.shape[call.channel_dim]
    if samples == EVERYTHING:
        assert outputs.numel() == output.numel()


def test_the_number_of_samples_grows_with_the_inputs_and_is_bounded() -> None:
    sampler = Sampler(per_input=16, work=1e6, least=100)

    assert sampler.count(4) == 100
    assert sampler.count(10) == 160
    assert sampler.count(100) == 200  # 1e6 / 100² = 100 would be less than two for each input
