from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.pruning.calibration.layer_calls import LayerCall, Observer, Watch, normalise
from gnnrl.pruning.calibration.sampling import Sampler

EVERYTHING = 10**9


class Notes:
    """An observer that changes nothing and writes down what it sees."""

    def __init__(self) -> None:
        self.layers: list[LayerCall] = []
        self.norms: list[LayerCall | None] = []
        self.additions: list[tuple[int, int]] = []
        self.observer = Observer(self._layer, self._norm, self._addition)

    def _layer(self, call: LayerCall) -> Tensor:
        self.layers.append(call)
        return call.run()

    def _norm(self, arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
        self.norms.append(call)
        return normalise(arguments["input"], arguments)

    def _addition(self, number: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
        self.additions.append((number, call.order))


def watched(model: nn.Module | Any, *inputs: Tensor) -> Notes:
    notes = Notes()
    with torch.no_grad(), Watch(notes.observer):
        model(*inputs)
    return notes


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
    patches = Sampler().patches(call, EVERYTHING)
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
        patches, outputs = Sampler().patches(call, samples), Sampler().outputs(output, call, samples)
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


def test_calls_are_seen_whoever_makes_them_and_numbered_in_order() -> None:
    weight = torch.randn(4, 3, 1, 1)

    def run(x: Tensor) -> Tensor:
        x = F.conv2d(x, weight)
        x = torch.conv2d(x, torch.randn(2, 4, 1, 1), stride=2)
        return F.linear(x.flatten(1), torch.randn(5, x[0].numel()))

    calls = watched(run, torch.randn(2, 3, 4, 4)).layers

    assert [(call.order, call.kind) for call in calls] == [(0, "conv2d"), (1, "conv2d"), (2, "linear")]
    assert calls[0].weight is weight
    assert calls[1].arguments["stride"] == 2


def test_a_watched_network_computes_what_it_computes() -> None:
    from tests.topologies import traced

    for name in ("residual", "dense_block", "depthwise", "bottleneck", "attention", "convolutions_3d", "unet"):
        case = traced(name)
        with torch.no_grad():
            expected = case.model(case.example_inputs)
            with Watch(Notes().observer):
                found = case.model(case.example_inputs)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_normalisation_knows_the_layer_it_directly_follows() -> None:
    conv, norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4).eval()

    direct = watched(lambda x: norm(conv(x)), torch.randn(2, 3, 4, 4))
    apart = watched(lambda x: norm(conv(x).relu()), torch.randn(2, 3, 4, 4))

    assert direct.norms == direct.layers
    assert direct.layers[0].norm is not None
    assert apart.norms == [None]
    assert apart.layers[0].norm is None


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda y: y, True),
        (lambda y: y.relu(), False),
        (lambda y: y.relu_(), False),
        (lambda y: y.mul_(2), False),
        (lambda y: y.clone(), False),
    ],
    ids=["nothing", "relu", "relu in place", "mul in place", "clone"],
)
def test_an_origin_is_lost_as_soon_as_the_tensor_is_another(change: Any, seen: bool) -> None:
    conv = nn.Conv2d(3, 3, 1)

    notes = watched(lambda x: change(conv(x)) + x, torch.randn(2, 3, 4, 4))

    assert notes.additions == ([(0, 0)] if seen else [])


@pytest.mark.parametrize("add", [torch.add, lambda a, b: a + b, lambda a, b: a.add_(b), lambda a, b: a.__iadd__(b)])
def test_additions_are_seen_however_they_are_written(add: Any) -> None:
    a, b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    assert watched(lambda x: add(b(x), x), torch.randn(2, 3, 4, 4)).additions == [(0, 0)]
    assert watched(lambda x: add(a(x), b(x)), torch.randn(2, 3, 4, 4)).additions == [(0, 1)]


def test_additions_of_scalars_of_other_shapes_and_of_a_tensor_to_itself_are_not_branches() -> None:
    conv = nn.Conv2d(3, 3, 1)

    for run in (lambda x: conv(x) + 1, lambda x: conv(x) + x[:1], lambda x: (lambda y: y + y)(conv(x))):
        assert watched(run, torch.randn(2, 3, 4, 4)).additions == []


def test_origins_do_not_outlive_their_tensors() -> None:
    conv, notes = nn.Conv2d(3, 3, 1), Notes()
    watch = Watch(notes.observer)
    with torch.no_grad(), watch:
        for _ in range(5):
            conv(torch.randn(2, 3, 4, 4))

    assert len(watch._origins) <= 1


@pytest.mark.parametrize(
    ("run", "reads"),
    [
        (lambda y, x: y + x, 1),
        (lambda y, x: (y.permute(0, 2, 3, 1) * torch.ones(3)).permute(0, 3, 1, 2) + x, 1),
        (lambda y, x: F.batch_norm(y, torch.zeros(3), torch.ones(3), torch.ones(3)) + x, 1),
        (lambda y, x: y.view(y.shape) + x, 1),
        (lambda y, x: y + x + y, 2),
        (lambda y, x: torch.cat([y + x, y]), 2),
        (lambda y, x: y + x * y.mean(), 2),
        (lambda y, x: torch.add(input=y, other=x), 1),
    ],
    ids=["addition", "layer scale", "norm", "view", "twice", "list", "mean", "by name"],
)
def test_all_readers_of_an_output_are_counted(run: Any, reads: int) -> None:
    conv = nn.Conv2d(3, 3, 1)

    (call,) = watched(lambda x: run(conv(x), x), torch.randn(2, 3, 4, 4)).layers

    assert call.reads == reads
