"""Small networks with every way of coupling channels that we know of. All are seeded, none is trained.

Normalisations have statistics, scales and shifts that are far from (0, 1, 1, 0): with fresh ones many laws hold by
accident.
"""

import copy
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace


@dataclass(frozen=True, eq=False)
class Topology:
    """A network and inputs that it runs on."""

    name: str
    model: nn.Module
    example_inputs: Any


@dataclass(frozen=True, eq=False)
class Traced(Topology):
    """A topology with what `trace` says of it."""

    network: Network


TOPOLOGIES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {}
NOTHING_TO_PRUNE = {"without_rule", "einsum", "maxout"}


def topology(name: str) -> Topology:
    """Build a topology; equal names give equal weights."""
    torch.manual_seed(zlib.crc32(name.encode()))
    model, inputs = TOPOLOGIES[name]()
    randomise(model)
    return Topology(name, model.eval(), inputs)


@cache
def traced(name: str) -> Traced:
    """Build and trace a topology, once; nobody may change its model."""
    built = topology(name)
    return Traced(name, built.model, built.example_inputs, trace(built.model, built.example_inputs))


def randomise(model: nn.Module) -> None:
    """Give every normalisation (and every vector of scales) values that are not trivial."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                tensor.normal_(0.0, 0.5)
            elif tensor.ndim == 1 and name.endswith(("weight", "gamma")):
                tensor.copy_(torch.empty_like(tensor).uniform_(0.5, 1.5) * torch.randn_like(tensor).sign())
            elif tensor.ndim == 1:
                tensor.normal_(0.0, 0.5)


def images(channels: int = 3, size: int = 8, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, size, size)


def conv(inputs: int, outputs: int, kernel: int = 3, relu: bool = True, **settings: Any) -> nn.Sequential:
    """Convolution, batch normalisation and, by default, ReLU."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **settings),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


def fixture(build: Callable[[], tuple[nn.Module, Any]]) -> Callable[[], tuple[nn.Module, Any]]:
    TOPOLOGIES[build.__name__] = build
    return build


class Head(nn.Module):
    """Global average pooling and a linear layer."""

    def __init__(self, channels: int, classes: int = 5) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Module(nn.Module):
    """A network given as a function of its layers: short for tests, and without hard-coded sizes."""

    def __init__(self, run: Callable[..., Any], **layers: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


@fixture
def chain() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 8), nn.MaxPool2d(2), conv(8, 16), nn.Dropout(0.2), conv(16, 12), Head(12)), images()


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(inputs, outputs, stride=stride), conv(outputs, outputs, relu=False)
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


@fixture
def residual() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 12), BasicBlock(12, 12), BasicBlock(12, 12), Head(12)), images()


class PadShortcut(nn.Module):
    """Shortcut A of the CIFAR ResNets: every other pixel, zeros for the channels that are new."""

    def __init__(self, amount: int) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.amount, self.amount))


@fixture
def padding_shortcut() -> tuple[nn.Module, Any]:
    blocks = [BasicBlock(8, 8), BasicBlock(8, 16, 2, PadShortcut(4)), BasicBlock(16, 16)]
    return nn.Sequential(conv(3, 8), *blocks, Head(16)), images()


@fixture
def projection_shortcut() -> tuple[nn.Module, Any]:
    block = BasicBlock(8, 16, 2, conv(8, 16, 1, relu=False, stride=2))
    return nn.Sequential(conv(3, 8), BasicBlock(8, 8), block, BasicBlock(16, 16), Head(16)), images()


@fixture
def concat() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(m.last(torch.cat([m.a(x), m.b(x), x], 1)))

    return Module(run, stem=conv(3, 6), a=conv(6, 8), b=conv(6, 10, 1), last=conv(24, 12), head=Head(12)), images()


@fixture
def cascaded_concat() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        b = torch.cat([a, m.b(a)], 1)
        c = torch.cat([b, m.c(b), a], 1)
        return m.head(torch.cat([c, m.d(c)], 1))

    layers = {"a": conv(3, 6), "b": conv(6, 8), "c": conv(14, 8), "d": conv(28, 4), "head": Head(32)}
    return Module(run, **layers), images()


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        return torch.cat([x, y], 1)


@fixture
def dense_block() -> tuple[nn.Module, Any]:
    layers = [DenseLayer(8 + 4 * i, 4) for i in range(3)]
    transition = nn.Sequential(nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1), nn.AvgPool2d(2))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers, transition, DenseLayer(10, 4), Head(14)), images()


@fixture
def depthwise() -> tuple[nn.Module, Any]:
    body = [conv(3, 8), conv(8, 8, groups=8), conv(8, 16, 1), conv(16, 16, 5, groups=16, stride=2), conv(16, 12, 1)]
    return nn.Sequential(*body, Head(12)), images()


@fixture
def depthwise_multiplier() -> tuple[nn.Module, Any]:
    """A depthwise convolution with two outputs for each input."""
    return nn.Sequential(conv(3, 8), conv(8, 16, groups=8), conv(16, 12, 1), Head(12)), images()


@fixture
def grouped_many() -> tuple[nn.Module, Any]:
    """Eight groups of two: whole groups go."""
    return nn.Sequential(conv(3, 16), conv(16, 16, groups=8), conv(16, 8, 1), Head(8)), images()


@fixture
def grouped_wide() -> tuple[nn.Module, Any]:
    """Two groups of eight inputs and six outputs: the same channels of both go."""
    return nn.Sequential(conv(3, 16), conv(16, 12, groups=2), conv(12, 8, 1), Head(8)), images()


@fixture
def grouped_twice() -> tuple[nn.Module, Any]:
    """ResNeXt: a residual block around a grouped convolution, then different groups on the same channels."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = F.relu(x + m.expand(m.group(m.reduce(x))))
        return m.head(m.other(x))

    layers = {
        "stem": conv(3, 16),
        "reduce": conv(16, 12, 1),
        "group": conv(12, 12, groups=3),
        "expand": conv(12, 16, 1, relu=False),
        "other": conv(16, 16, groups=4),
        "head": Head(16),
    }
    return Module(run, **layers), images()


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.silu(self.reduce(scale))))


@fixture
def squeeze_excitation() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 12), SqueezeExcitation(12, 4), conv(12, 8), Head(8)), images()


@fixture
def squeeze_excitation_linear() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        b, c = x.shape[:2]
        scale = F.adaptive_avg_pool2d(x, 1).view(b, c)
        scale = torch.sigmoid(m.expand(F.relu(m.reduce(scale)))).view(b, c, 1, 1)
        return m.head(x * scale.expand_as(x))

    layers = {"stem": conv(3, 12), "reduce": nn.Linear(12, 4), "expand": nn.Linear(4, 12), "head": Head(12)}
    return Module(run, **layers), images()


@fixture
def shared_module() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(m.shared(m.shared(x)))

    return Module(run, stem=conv(3, 8), shared=conv(8, 8), head=Head(8)), images()


@fixture
def shared_head() -> tuple[nn.Module, Any]:
    """One head reads several scales of a pyramid (RetinaNet)."""

    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        a = m.a(x)
        b = m.b(F.max_pool2d(a, 2))
        return m.head(m.tower(a)), m.head(m.tower(b))

    layers = {"a": conv(3, 8), "b": conv(8, 8), "tower": conv(8, 10), "head": nn.Conv2d(10, 4, 1)}
    return Module(run, **layers), images()


@fixture
def flatten_linear() -> tuple[nn.Module, Any]:
    body = [conv(3, 6), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 5)]
    return nn.Sequential(*body), images()


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.vector, self.last = conv(3, 8), nn.Linear(4, 8), conv(8, 6)
        self.head = Head(6)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(self.last(self.image(x) * F.relu(self.vector(y))[:, :, None, None]))


@fixture
def two_inputs() -> tuple[nn.Module, Any]:
    return TwoInputs(), (images(), torch.randn(2, 4))


@fixture
def keyword_inputs() -> tuple[nn.Module, Any]:
    return TwoInputs(), {"y": torch.randn(2, 4), "x": images()}


@fixture
def two_outputs() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        x = m.stem(x)
        return m.a(x), m.b(x)

    return Module(run, stem=nn.Sequential(conv(3, 8), conv(8, 8)), a=Head(8), b=nn.Conv2d(8, 4, 1)), images()


@fixture
def nested_outputs() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> dict[str, Any]:
        a = m.a(x)
        b = m.b(a)
        return {"features": [b], "logits": {"first": m.head(a), "none": None}}

    return Module(run, a=nn.Sequential(conv(3, 8), conv(8, 8)), b=conv(8, 6), head=Head(8)), images()


@fixture
def channel_chunk() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).chunk(2, 1)
        return m.head(torch.cat([m.a(a), b], 1))

    return Module(run, stem=conv(3, 16), a=conv(8, 8), head=Head(16)), images()


@fixture
def glu_gate() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).chunk(2, dim=1)
        return m.head(F.glu(m.second(a * torch.sigmoid(b)), 1))

    return Module(run, stem=conv(3, 16, relu=False), second=conv(8, 12, relu=False), head=Head(6)), images()


class ShuffleUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(conv(half, half, 1), conv(half, half, groups=half, relu=False), conv(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=1)
        x = torch.cat((a, self.branch(b)), dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


@fixture
def channel_shuffle() -> tuple[nn.Module, Any]:
    return nn.Sequential(conv(3, 16), ShuffleUnit(16), ShuffleUnit(16), conv(16, 8, 1), Head(8)), images()


@fixture
def grouped_shuffle() -> tuple[nn.Module, Any]:
    """ShuffleNet V1: shuffle between two grouped convolutions."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(m.stem(x))
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, -1, h, w)
        return m.head(m.b(x))

    layers = {"stem": conv(3, 12), "a": conv(12, 12, 1, groups=3), "b": conv(12, 12, 1, groups=3), "head": Head(12)}
    return Module(run, **layers), images()


@fixture
def space_slice() -> tuple[nn.Module, Any]:
    """Focus of YOLOv5: every other pixel of four phases side by side."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        return m.head(m.last(x))

    return Module(run, stem=conv(3, 6), last=conv(24, 8), head=Head(8)), images()


@fixture
def mean_head() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.body(x)
        return m.head(torch.cat([x.mean([-2, -1]), x.amax((2, 3))], 1))

    return Module(run, body=nn.Sequential(conv(3, 8), conv(8, 10)), head=nn.Linear(20, 5)), images()


@fixture
def transposed_convolution() -> tuple[nn.Module, Any]:
    body = [conv(3, 8, stride=2), nn.ConvTranspose2d(8, 6, 2, stride=2), nn.BatchNorm2d(6), nn.ReLU()]
    return nn.Sequential(*body, nn.Conv2d(6, 3, 3, padding=1)), images()


@fixture
def transposed_grouped() -> tuple[nn.Module, Any]:
    body = [conv(3, 8, stride=2), nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4), nn.ReLU()]
    return nn.Sequential(*body, nn.ConvTranspose2d(12, 12, 3, padding=1, groups=12), nn.Conv2d(12, 3, 1)), images()


@fixture
def convolutions_1d() -> tuple[nn.Module, Any]:
    body = [nn.Conv1d(2, 8, 5, padding="same"), nn.BatchNorm1d(8), nn.GELU(), nn.Conv1d(8, 6, 3, dilation=2)]
    return nn.Sequential(*body, nn.ELU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(6, 3)), torch.randn(2, 2, 16)


@fixture
def convolutions_3d() -> tuple[nn.Module, Any]:
    body = [nn.Conv3d(1, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.Conv3d(6, 8, (1, 3, 3)), nn.MaxPool3d(2)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(8 * 2, 3)), torch.randn(2, 1, 4, 4, 4)


@fixture
def bottleneck() -> tuple[nn.Module, Any]:
    class Bottleneck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(conv(16, 4, 1), conv(4, 4), conv(4, 16, 1, relu=False))

        def forward(self, x: Tensor) -> Tensor:
            out = self.body(x)
            out += x
            return out.relu_()

    return nn.Sequential(conv(3, 16), Bottleneck(), Bottleneck(), Head(16)), images()


@fixture
def inverted_residual() -> tuple[nn.Module, Any]:
    class Inverted(nn.Module):
        def __init__(self, activation: nn.Module) -> None:
            super().__init__()
            self.body = nn.Sequential(
                conv(8, 16, 1, relu=False), activation, conv(16, 16, groups=16), conv(16, 8, 1, relu=False)
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.body(x)

    return nn.Sequential(conv(3, 8), Inverted(nn.ReLU6()), Inverted(nn.Hardswish()), Head(8)), images()


@fixture
def pre_activation() -> tuple[nn.Module, Any]:
    """Normalisation before each convolution: the residual stream itself is never normalised."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = x + m.c2(F.relu(m.n2(m.c1(F.relu(m.n1(x))))))
        return m.head(F.relu(m.last(x)))

    layers = {
        "stem": nn.Conv2d(3, 8, 3),
        "n1": nn.BatchNorm2d(8),
        "c1": nn.Conv2d(8, 12, 3, padding=1),
        "n2": nn.BatchNorm2d(12),
        "c2": nn.Conv2d(12, 8, 3, padding=1),
        "last": nn.BatchNorm2d(8),
        "head": Head(8),
    }
    return Module(run, **layers), images()


@fixture
def pixel_shuffle() -> tuple[nn.Module, Any]:
    body = [conv(3, 24), nn.PixelShuffle(2), conv(6, 8), nn.PixelUnshuffle(2), nn.Conv2d(32, 8, 1), Head(8)]
    return nn.Sequential(*body), images()


@fixture
def prelu() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 6, 3), nn.PReLU(), Head(6)]
    return nn.Sequential(*body), images()


@fixture
def group_norm() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 12, 3), nn.GroupNorm(3, 12), nn.ReLU(), nn.Conv2d(12, 8, 3), nn.GroupNorm(1, 8), Head(8)]
    return nn.Sequential(*body), images()


@fixture
def instance_norm() -> tuple[nn.Module, Any]:
    body = [nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.InstanceNorm2d(6, affine=True)]
    return nn.Sequential(*body, Head(6)), images()


@fixture
def batch_norm_plain() -> tuple[nn.Module, Any]:
    """Batch normalisation without scale and shift."""
    body = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Conv2d(8, 6, 3), Head(6)]
    return nn.Sequential(*body), images()


@fixture
def layer_norm_mlp() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = x + m.down(F.gelu(m.up(m.norm(x))))
        return m.head(m.last(x))

    layers = {
        "stem": nn.Linear(6, 8),
        "norm": nn.LayerNorm(8),
        "up": nn.Linear(8, 16),
        "down": nn.Linear(16, 8),
        "last": nn.LayerNorm(8),
        "head": nn.Linear(8, 4),
    }
    return Module(run, **layers), torch.randn(2, 5, 6)


@fixture
def layer_norm_plain() -> tuple[nn.Module, Any]:
    """Layer normalisation without scale and shift (DiT)."""
    body = [nn.Linear(6, 8), nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 4)]
    return nn.Sequential(*body), torch.randn(2, 5, 6)


class Attention(nn.Module):
    """Self-attention; reads the width of a head from its weights' shapes, as a prunable one must."""

    def __init__(self, channels: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.head_width, self.fused = channels // heads, fused
        self.norm, self.qkv, self.out = (
            nn.LayerNorm(channels),
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, t, 3, -1, self.head_width).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q * self.head_width**-0.5) @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return x + self.out(y.transpose(1, 2).reshape(b, t, -1))


@fixture
def attention() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Linear(6, 16), Attention(16, 4, False), nn.Linear(16, 4)), torch.randn(2, 5, 6)


@fixture
def attention_fused() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Linear(6, 16), Attention(16, 4, True), nn.Linear(16, 4)), torch.randn(2, 5, 6)


@fixture
def separate_projections() -> tuple[nn.Module, Any]:
    """Attention with a layer each for query, key and value."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(q, k, v)
        return m.out(y.transpose(1, 2).flatten(2))

    layers = {name: nn.Linear(6, 12) for name in ("q", "k", "v")}
    return Module(run, **layers, out=nn.Linear(12, 4)), torch.randn(2, 5, 6)


class StatedHeads(nn.Module):
    """The number of heads and the width are attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.channels = 3, 12
        self.q, self.k, self.v, self.out = (nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(12, 4))

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = (layer(x).view(n, t, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(n, t, self.channels))


@fixture
def stated_heads() -> tuple[nn.Module, Any]:
    return StatedHeads(), torch.randn(2, 5, 6)


def rotated(x: Tensor, angles: Tensor, interleaved: bool) -> Tensor:
    """Rotate pairs of channels of each head (Su et al. 2021): of its halves, or neighbours."""
    if interleaved:
        a, b = x[..., ::2], x[..., 1::2]
        turned = torch.stack([-b, a], -1).reshape(x.shape)
    else:
        a, b = x.chunk(2, -1)
        turned = torch.cat([-b, a], -1)
    return x * angles.cos() + turned * angles.sin()


def rotary(interleaved: bool) -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = m.qkv(m.stem(x)).unflatten(-1, (3, -1, 4)).permute(2, 0, 3, 1, 4)
        q, k = (rotated(y, m.angles, interleaved) for y in (q, k))
        return m.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    model = Module(run, stem=nn.Linear(6, 8), qkv=nn.Linear(8, 36), head=nn.Linear(12, 4))
    model.register_buffer("angles", torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.1, 1.0, 0.1])))
    return model, torch.randn(2, 5, 6)


@fixture
def rotary_halves() -> tuple[nn.Module, Any]:
    return rotary(interleaved=False)


@fixture
def rotary_neighbours() -> tuple[nn.Module, Any]:
    return rotary(interleaved=True)


@fixture
def linear_attention() -> tuple[nn.Module, Any]:
    """Attention without softmax: features of queries and keys are contracted, and never zero."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k = F.elu(m.q(x)) + 1, F.elu(m.k(x)) + 1
        return m.out(q @ (k.transpose(1, 2) @ m.v(x)))

    layers = {name: nn.Linear(6, 8) for name in ("q", "k", "v")}
    return Module(run, **layers, out=nn.Linear(8, 4)), torch.randn(2, 5, 6)


@fixture
def multihead_attention() -> tuple[nn.Module, Any]:
    """torch's own attention, which asserts its width."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.out(m.attention(x, x, x, need_weights=False)[0])

    return Module(run, attention=nn.MultiheadAttention(8, 2, batch_first=True), out=nn.Linear(8, 4)), torch.randn(
        2, 5, 8
    )


class Attending(nn.Module):
    """torch's own attention between layers, so that heads and all streams may shrink."""

    def __init__(self, heads: int, **settings: Any) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(6, 8), nn.Linear(6, settings.get("kdim", 8))
        self.value = nn.Linear(6, settings["vdim"]) if "vdim" in settings else None
        self.attention, self.out = nn.MultiheadAttention(8, heads, **settings), nn.Linear(8, 4)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x, key = self.query(x), self.key(memory)
        value = key if self.value is None else self.value(memory)
        return self.out(x + self.attention(x, key, value)[0])


@fixture
def cross_attention() -> tuple[nn.Module, Any]:
    return Attending(4, batch_first=True), (torch.randn(2, 5, 6), torch.randn(2, 7, 6))


@fixture
def cross_attention_separate() -> tuple[nn.Module, Any]:
    """Keys and values of other widths than the queries."""
    return Attending(4, kdim=5, vdim=7), (torch.randn(5, 2, 6), torch.randn(5, 2, 6))


@fixture
def cross_attention_with_bias_rows() -> tuple[nn.Module, Any]:
    """A learned key and value that every query attends to."""
    return Attending(2, add_bias_kv=True, bias=False), (torch.randn(5, 2, 6), torch.randn(5, 2, 6))


@fixture
def transformer_encoder() -> tuple[nn.Module, Any]:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, activation="gelu")
    body = [nn.Linear(6, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 4)]
    return nn.Sequential(*body), torch.randn(2, 5, 6)


class Decoder(nn.Module):
    """Self attention, cross attention and a hidden layer, normalised before each."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.encode, self.out = nn.Linear(6, 8), nn.Linear(5, 8), nn.Linear(8, 4)
        self.layer = nn.TransformerDecoderLayer(8, 4, 12, norm_first=True)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return self.out(self.layer(self.embed(x), self.encode(memory)))


@fixture
def transformer_decoder() -> tuple[nn.Module, Any]:
    return Decoder(), (torch.randn(3, 2, 6), torch.randn(3, 2, 5))


@fixture
def embedding() -> tuple[nn.Module, Any]:
    body = [nn.Embedding(11, 8), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4)]
    return nn.Sequential(*body), torch.randint(0, 11, (2, 5))


class TiedDecoder(nn.Module):
    """The output layer is the embedding again."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body, self.decoder = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11)
        self.decoder.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(F.relu(self.body(self.embedding(x))))


@fixture
def tied_embedding() -> tuple[nn.Module, Any]:
    return TiedDecoder(), torch.randint(0, 11, (2, 5))


@fixture
def tied_convolutions() -> tuple[nn.Module, Any]:
    layers = [conv(3, 8), conv(8, 8), conv(8, 8), Head(8)]
    layers[2][0].weight = layers[1][0].weight
    return nn.Sequential(*layers), images()


@fixture
def without_rule() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(torch.special.i0(m.stem(x)))

    return Module(run, stem=conv(3, 8), head=Head(8)), images()


@fixture
def fourier() -> tuple[nn.Module, Any]:
    """A transform of space between layers."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x))
        return m.head(m.c(torch.fft.rfft2(x).real))

    return Module(run, a=conv(3, 8), b=conv(8, 6), c=conv(6, 10), head=Head(10)), images()


@fixture
def recurrent() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(F.relu(m.hidden(m.lstm(m.stem(x))[0])))

    layers = {"stem": nn.Linear(4, 6), "lstm": nn.LSTM(6, 8, batch_first=True), "hidden": nn.Linear(8, 10)}
    return Module(run, **layers, head=nn.Linear(10, 3)), torch.randn(2, 5, 4)


@fixture
def recurrent_directions() -> tuple[nn.Module, Any]:
    """Two layers in both directions without biases, of which the last states are read, too."""

    def run(m: Any, x: Tensor) -> Tensor:
        rows, states = m.gru(m.stem(x).transpose(0, 1))
        return m.head(F.relu(m.hidden(rows[-1]) + m.last(states[-1])))

    gru = nn.GRU(6, 7, num_layers=2, bias=False, bidirectional=True)
    layers = {"stem": nn.Linear(4, 6), "hidden": nn.Linear(14, 10), "last": nn.Linear(7, 10)}
    return Module(run, gru=gru, **layers, head=nn.Linear(10, 3)), torch.randn(2, 5, 4)


@fixture
def recurrent_projected() -> tuple[nn.Module, Any]:
    """An LSTM whose outputs are projections of its hidden units stays."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(F.relu(m.body(m.lstm(m.stem(x))[0].mean(1))))

    lstm = nn.LSTM(6, 9, num_layers=2, batch_first=True, proj_size=5)
    layers = {"stem": nn.Linear(4, 6), "body": nn.Linear(5, 6), "head": nn.Linear(6, 3)}
    return Module(run, lstm=lstm, **layers), torch.randn(2, 5, 4)


@fixture
def recurrent_states() -> tuple[nn.Module, Any]:
    """A decoder that starts from what an encoder ends in, and from zeros that the code makes."""

    def run(m: Any, x: Tensor) -> Tensor:
        _, state = m.encoder(x)
        start = x.new_zeros(1, x.shape[0], m.width)
        return m.head(F.relu(m.hidden(m.decoder(m.stem(x), (state, start))[0])))

    recurrent = {"encoder": nn.RNN(4, 8, batch_first=True), "decoder": nn.LSTM(6, 8, batch_first=True)}
    layers = {"stem": nn.Linear(4, 6), "hidden": nn.Linear(8, 10), "head": nn.Linear(10, 3)}
    model = Module(run, **recurrent, **layers)
    model.width = 8
    return model, torch.randn(2, 5, 4)


@fixture
def recurrent_cells() -> tuple[nn.Module, Any]:
    """Cells in a loop of the user's, one of which starts from a learned state."""

    def run(m: Any, x: Tensor) -> Tensor:
        y, state, row = m.stem(x), None, m.start.expand(x.shape[0], -1)
        for step in range(x.shape[1]):
            row = m.gru(y[:, step], row)
            state = m.lstm(row, state)
        return m.head(F.relu(m.plain(state[0])))

    cells = {"gru": nn.GRUCell(6, 8), "lstm": nn.LSTMCell(8, 7), "plain": nn.RNNCell(7, 9, nonlinearity="relu")}
    start = nn.Parameter(torch.randn(1, 8))
    return Module(run, stem=nn.Linear(4, 6), **cells, start=start, head=nn.Linear(9, 3)), torch.randn(2, 3, 4)


@fixture
def unet() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        b = m.b(F.avg_pool2d(a, 2))
        up = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        return m.out(m.c(torch.cat([up, a], 1)))

    return Module(run, a=conv(3, 6), b=conv(6, 10), c=conv(16, 8), out=nn.Conv2d(8, 2, 1)), images()


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm, self.up = nn.LayerNorm(channels), nn.Linear(channels, 2 * channels)
        self.down = nn.Linear(2 * channels, channels)
        self.gamma, self.scale = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.rand(channels, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return x + self.scale * y.permute(0, 3, 1, 2)


@fixture
def layer_scale() -> tuple[nn.Module, Any]:
    return nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), ConvNeXtBlock(8), ConvNeXtBlock(8), Head(8)), images()


@fixture
def spatial_attention() -> tuple[nn.Module, Any]:
    """CBAM: mean and maximum over the channels, which therefore stay; a block before them may shrink."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x))
        gate = torch.sigmoid(m.gate(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))
        return m.head(x * gate)

    return Module(run, a=conv(3, 8), b=conv(8, 6), gate=nn.Conv2d(2, 1, 3, padding=1), head=Head(6)), images()


@fixture
def sum_over_channels() -> tuple[nn.Module, Any]:
    """A sum in which a removed channel counts nothing and a zero one 0.5."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = torch.sigmoid(m.b(m.a(x)))
        return m.head(m.c(x.sum(1, keepdim=True)))

    return Module(run, a=conv(3, 8), b=nn.Conv2d(8, 6, 3), c=conv(1, 6), head=Head(6)), images()


@fixture
def similarity() -> tuple[nn.Module, Any]:
    """A sum of products over channels: zero where one factor is."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head((m.a(x) * m.b(x)).sum(1, keepdim=True) * x)

    return Module(run, stem=conv(3, 8), a=nn.Conv2d(8, 6, 1), b=nn.Conv2d(8, 6, 1), head=Head(8)), images()


@fixture
def unequal_split() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.stem(x).split([4, 6], 1)
        return m.head(torch.cat([m.a(a), m.b(b)], 1))

    return Module(run, stem=conv(3, 10), a=conv(4, 6), b=conv(6, 8), head=Head(14)), images()


@fixture
def channel_slice() -> tuple[nn.Module, Any]:
    """Channels by constant positions."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(torch.cat([m.a(x[:, :3]), m.b(x)], 1))

    return Module(run, stem=conv(3, 8), a=conv(3, 6), b=conv(8, 6), head=Head(12)), images()


@fixture
def channel_half_slice() -> tuple[nn.Module, Any]:
    """Halves by slicing with the width at run time."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        half = x.shape[1] // 2
        return m.head(m.a(x[:, :half]) + m.b(x[:, half:]))

    return Module(run, stem=conv(3, 8), a=conv(4, 6), b=conv(4, 6), head=Head(6)), images()


@fixture
def stacked_branches() -> tuple[nn.Module, Any]:
    """Selective kernels: branches stacked, weighted by a softmax over the branches, and summed."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        both = torch.stack([m.a(x), m.b(x)], 1)
        gate = m.gate(both.sum(1).mean((2, 3)))
        gate = gate.view(gate.shape[0], 2, -1).softmax(1)
        return m.head((both * gate[..., None, None]).sum(1))

    layers = {"stem": conv(3, 8), "a": conv(8, 8), "b": conv(8, 8, 1), "gate": nn.Linear(8, 16), "head": Head(8)}
    return Module(run, **layers), images()


@fixture
def maxout() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        n, _, h, w = x.shape
        return m.head(x.view(n, -1, 2, h, w).amax(2))

    return Module(run, stem=conv(3, 12, relu=False), head=Head(6)), images()


@fixture
def buffers() -> tuple[nn.Module, Any]:
    """A buffer that scales channels and one that scales pixels."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.stem(x) * m.mask + m.grid)

    model = Module(run, stem=conv(3, 8), head=Head(8))
    model.register_buffer("mask", torch.rand(1, 8, 1, 1) + 0.5)
    model.register_buffer("grid", torch.rand(8, 8))
    return model, images()


@fixture
def unused_parameter() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.stem(x))

    return Module(run, stem=conv(3, 8), head=Head(8), training_only=nn.Conv2d(8, 8, 1)), images()


@fixture
def weight_norm() -> tuple[nn.Module, Any]:
    """Weights that the program computes from other parameters."""
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 8, 3))
    return nn.Sequential(conv(3, 6), layer, nn.ReLU(), conv(8, 10), Head(10)), images()


@fixture
def unit_length() -> tuple[nn.Module, Any]:
    """Features normalised to unit length over the channels."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(F.normalize(m.b(m.a(x)), dim=1))

    return Module(run, a=conv(3, 8), b=conv(8, 6), head=Head(6)), images()


@fixture
def einsum() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        y = torch.einsum("nchw,nkhw->nck", a, torch.sigmoid(m.b(a)))
        return m.head(F.relu(y.flatten(1)))

    return Module(run, a=conv(3, 6), b=nn.Conv2d(6, 2, 1), head=nn.Linear(12, 4)), images()


@fixture
def einsum_attention() -> tuple[nn.Module, Any]:
    """Attention written as equations."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 4)) for layer in (m.q, m.k, m.v))
        weights = torch.einsum("bthd, bshd -> bhts", q * 0.5, k).softmax(-1)
        return m.out(torch.einsum("bhts,bshd->bthd", weights, v).flatten(2))

    layers = {name: nn.Linear(6, 12) for name in ("q", "k", "v")}
    return Module(run, **layers, out=nn.Linear(12, 4)), torch.randn(2, 5, 6)


@fixture
def masked_heads() -> tuple[nn.Module, Any]:
    """A learned bias for the scores of every head (Swin)."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = m.qkv(x).unflatten(-1, (3, -1, 4)).permute(2, 0, 3, 1, 4)
        return m.out(F.scaled_dot_product_attention(q, k, v, attn_mask=m.bias).transpose(1, 2).flatten(2))

    bias = nn.Parameter(torch.randn(1, 3, 5, 5))
    return Module(run, qkv=nn.Linear(6, 36), out=nn.Linear(12, 4), bias=bias), torch.randn(2, 5, 6)


@fixture
def spectral_norm() -> tuple[nn.Module, Any]:
    """Weights divided by their largest singular value, with buffers of one entry for each channel."""
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 8, 3))
    return nn.Sequential(conv(3, 6), layer, nn.ReLU(), conv(8, 10), Head(10)), images()


@fixture
def spectral_norm_transposed() -> tuple[nn.Module, Any]:
    """A weight whose outputs are its second dimension: it is permuted, then flattened, for its norm."""
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(6, 8, 2, stride=2))
    return nn.Sequential(conv(3, 6), layer, nn.ReLU(), conv(8, 10), Head(10)), images()


@fixture
def patches() -> tuple[nn.Module, Any]:
    """Patches as channels and back, around a layer."""

    def run(m: Any, x: Tensor) -> Tensor:
        y = m.mix(F.unfold(m.stem(x), 2, stride=2).transpose(1, 2)).transpose(1, 2)
        return m.head(F.fold(F.relu(y), (8, 8), 2, stride=2))

    return Module(run, stem=conv(3, 6), mix=nn.Linear(24, 32), head=Head(8)), images()


@fixture
def rms_norm() -> tuple[nn.Module, Any]:
    body = [nn.Linear(6, 8), nn.RMSNorm(8), nn.Linear(8, 12), nn.SiLU(), nn.Linear(12, 4)]
    return nn.Sequential(*body), torch.randn(2, 5, 6)


@fixture
def non_local() -> tuple[nn.Module, Any]:
    """Attention over positions of an image, with a residual connection."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        q, k, v = (layer(x).flatten(2) for layer in (m.q, m.k, m.v))
        weights = (q.transpose(1, 2) @ k).softmax(-1)
        y = (v @ weights.transpose(1, 2)).view(x.shape[0], -1, x.shape[2], x.shape[3])
        return m.head(x + m.out(y))

    layers = {"stem": conv(3, 8), "q": nn.Conv2d(8, 4, 1), "k": nn.Conv2d(8, 4, 1), "v": nn.Conv2d(8, 6, 1)}
    return Module(run, **layers, out=nn.Conv2d(6, 8, 1), head=Head(8)), images(size=4)


@fixture
def spatial_gate() -> tuple[nn.Module, Any]:
    """A linear layer over positions (MLP-Mixer)."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2)
        x = x + m.mix2(F.gelu(m.mix1(x)))
        return m.head(x.mean(2))

    layers = {"patch": nn.Conv2d(3, 8, 2, stride=2), "mix1": nn.Linear(16, 12), "mix2": nn.Linear(12, 16)}
    return Module(run, **layers, head=nn.Linear(8, 4)), images()


@fixture
def class_token() -> tuple[nn.Module, Any]:
    """A learned token before the others and learned positions, as in vision transformers."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1) + m.positions
        x = x + m.down(F.gelu(m.up(m.norm(x))))
        return m.head(x[:, 0])

    layers = {"patch": nn.Conv2d(3, 8, 4, stride=4), "norm": nn.LayerNorm(8), "up": nn.Linear(8, 12)}
    vectors = {"token": nn.Parameter(torch.randn(1, 1, 8)), "positions": nn.Parameter(torch.randn(1, 5, 8))}
    return Module(run, **layers, **vectors, down=nn.Linear(12, 8), head=nn.Linear(8, 4)), images()


@fixture
def windows() -> tuple[nn.Module, Any]:
    """Space cut into windows and put together again (Swin)."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        x = x.view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        x = m.mlp(x).view(b, h // 4, w // 4, 4, 4, -1).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, -1)
        return m.head(x.roll((2, 2), (1, 2)).mean((1, 2)))

    return Module(run, stem=conv(3, 6), mlp=nn.Linear(6, 10), head=nn.Linear(10, 4)), images()


@fixture
def reuse_before_and_after() -> tuple[nn.Module, Any]:
    """One tensor read by three branches, one of which is normalised on its own."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        return m.head(torch.cat([m.a(x), m.n(x), F.max_pool2d(x, 3, 1, 1)], 1) * 0.5 - 1.0)

    return Module(run, stem=conv(3, 6), a=conv(6, 6), n=nn.BatchNorm2d(6), head=Head(18)), images()


@fixture
def scripted_scalar() -> tuple[nn.Module, Any]:
    """Learned scalars, comparisons, clamps and where."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = torch.where(x > m.threshold, x, m.slope * x).clamp(max=6)
        return m.head(x)

    scalars = {"threshold": nn.Parameter(torch.tensor(0.1)), "slope": nn.Parameter(torch.tensor([0.2]))}
    return Module(run, stem=conv(3, 8), head=Head(8), **scalars), images()


@fixture
def channel_convolution() -> tuple[nn.Module, Any]:
    """Efficient channel attention: a convolution along the channels, which therefore stay."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x))
        gate = m.gate(x.mean((2, 3))[:, None])
        return m.head(x * torch.sigmoid(gate).transpose(1, 2)[..., None])

    layers = {"a": conv(3, 8), "b": conv(8, 6), "gate": nn.Conv1d(1, 1, 3, padding=1, bias=False), "head": Head(6)}
    return Module(run, **layers), images()


@fixture
def channel_pooling() -> tuple[nn.Module, Any]:
    """Pooling along the channels of tokens."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.b(m.a(x)).flatten(2).transpose(1, 2)
        return m.head(F.avg_pool1d(x, 2).mean(1))

    return Module(run, a=conv(3, 8), b=conv(8, 6), head=nn.Linear(3, 4)), images()


@fixture
def fixed_view() -> tuple[nn.Module, Any]:
    """The network's code says 16 where it means the width."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.b(m.a(x)).view(x.shape[0], 16, 64).mean(2))

    return Module(run, a=conv(3, 8), b=conv(8, 16), head=nn.Linear(16, 4)), images()


@fixture
def fixed_heads() -> tuple[nn.Module, Any]:
    """The number of heads is written down, so the width of a head would change."""

    def run(m: Any, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (3, 4)).transpose(1, 2) for layer in (m.q, m.k, m.v))
        y = F.scaled_dot_product_attention(q, k, v)
        return m.out(F.relu(m.hidden(y.transpose(1, 2).flatten(2))))

    layers = {name: nn.Linear(6, 12) for name in ("q", "k", "v")}
    return Module(run, **layers, hidden=nn.Linear(12, 8), out=nn.Linear(8, 4)), torch.randn(2, 5, 6)


def fresh(case: Topology) -> nn.Module:
    """A copy of a topology's model that a test may change."""
    return copy.deepcopy(case.model)


def obstructed() -> nn.Module:
    """A function without a rule between layers, of which others can shrink."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.c(torch.special.i0(m.b(m.a(x)))))

    return Module(run, a=conv(3, 8), b=conv(8, 6), c=conv(6, 10), head=Head(10)).eval()
