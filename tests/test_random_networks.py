"""Both laws on networks that nobody drew by hand: random chains of the blocks that real networks are made of."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gnnrl.network.cost import measure
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.counting import count_macs
from gnnrl.pruning.verification import mask
from tests.laws import LeaveOut
from tests.topologies import conv, images, randomise


class Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(conv(width, inner), conv(inner, width, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))


class Concatenation(nn.Module):
    """What came in beside what it was made into, as in a dense block, mixed again."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.grow, self.mix = conv(width, inner), conv(width + inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([x, self.grow(x)], 1))


class Shuffle(nn.Module):
    """Half of the channels pass, the other half is convolved; then the halves are interleaved."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(conv(width // 2, inner, 1), conv(inner, width // 2))

    def forward(self, x: Tensor) -> Tensor:
        passed, changed = x.chunk(2, 1)
        y = torch.cat([passed, self.branch(changed)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).flatten(1, 2)


class Grouped(nn.Module):
    """A grouped convolution between two pointwise ones, and a depthwise one behind."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(width, inner, 1), conv(inner, inner, groups=4), conv(inner, width, 1), conv(width, width, groups=width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Attention(nn.Module):
    """Layer norm, self-attention with heads and a residual stream of tokens."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.heads = 4
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return (tokens + self.out(mixed)).transpose(1, 2).unflatten(2, (h, w))


class Gated(nn.Module):
    """Squeeze and excitation, then one half of the channels gates the other."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)
        self.gate = conv(width, 2 * width, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return F.glu(self.gate(x * scale.sigmoid()), 1)


class GroupNormed(nn.Module):
    """A convolution normalised in groups, upsampled from half the resolution."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down, self.norm = nn.Conv2d(width, inner, 3, 2, 1), nn.GroupNorm(2, inner)
        self.up = nn.ConvTranspose2d(inner, width, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(F.silu(self.norm(self.down(x))))


class Twice(nn.Module):
    """One block run twice, and its result rearranged into space and back."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.shared = Residual(width, inner)
        self.up, self.down = nn.PixelShuffle(2), nn.Conv2d(width // 4, width, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.up(self.shared(self.shared(x))))


class TorchAttention(nn.Module):
    """torch's own attention over positions, beside a product written as an equation."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.before, self.attention = nn.Linear(width, inner), nn.MultiheadAttention(inner, 4, batch_first=True)
        self.key, self.after = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        y = self.before(tokens)
        mixed = self.attention(y, y, y, need_weights=False)[0]
        scores = torch.einsum("b t c, b ... c -> b t ...", mixed, self.key(tokens))
        y = self.after(torch.einsum("bts,bsc->btc", scores.softmax(-1), mixed))
        return y.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])


class Partial(nn.Module):
    """A convolution of the first channels, by an attribute; the others meet them again unchanged."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.part, self.rest = width // 4, width - width // 4
        self.conv, self.mix = conv(self.part, self.part), conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, others = torch.split(x, [self.part, self.rest], 1)
        return self.mix(torch.cat([self.conv(first), others], 1))


class Numbers(nn.Module):
    """Reshapes by the number of channels that the block was built with, around a layer that is not."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.grow, self.shrink = conv(width, inner), conv(inner, width)
        self.sizes = (4, inner // 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.grow(x)
        return self.shrink(y.view(y.shape[0], *self.sizes, -1).flatten(1, 2).view(y.shape))


BLOCKS: list[Callable[[int, int], nn.Module]] = [
    Residual,
    Concatenation,
    Shuffle,
    Grouped,
    Attention,
    Gated,
    GroupNormed,
    Twice,
    TorchAttention,
    Partial,
    Numbers,
]
WIDTHS = st.sampled_from([8, 16, 24])


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """A stem, two to four blocks of any kinds with changes of width between them, and a classifier."""
    width = draw(WIDTHS)
    layers: list[nn.Module] = [conv(3, width)]
    for block in draw(st.lists(st.sampled_from(BLOCKS), min_size=2, max_size=4)):
        layers.append(block(width, draw(WIDTHS)))
        if draw(st.booleans()):
            before, width = width, draw(WIDTHS)
            layers.append(conv(before, width))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


def one_channel_a_head() -> nn.Module:
    """Attention whose equations may be left with one channel, where torch multiplies element by element."""
    return nn.Sequential(
        conv(3, 8), TorchAttention(8, 8), Residual(8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )


@example(model=one_channel_a_head(), seed=1)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=networks(), seed=st.integers(0, 999))
def test_laws_hold_on_random_networks(model: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    randomise(model)
    model, inputs, rng = model.double().eval(), images().double(), np.random.default_rng(seed)
    network = trace(model, inputs)
    kept = [rng.permutation(group.size)[: rng.integers(1, group.size + 1)] for group in network.groups]
    kept = [np.sort(units) for units in kept]

    small = remove(model, network, kept)
    with torch.no_grad():
        output = small(inputs)
        with LeaveOut():
            expected = mask(model, network, kept)(inputs)

    predicted = measure(network, [len(units) for units in kept])
    assert len(network.groups) >= 3
    assert predicted == measure(trace(small, inputs))
    assert count_macs(small, inputs) == predicted.macs * network.batch_size
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-9 * max(float(expected.abs().max()), 1.0))
