"""Networks that are hard to prune."""

from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

Both = namedtuple("Both", "logits features")


def images(batch: int = 2, side: int = 8) -> Tensor:
    return torch.linspace(-1, 1, batch * 3 * side * side).reshape(batch, 3, side, side)


def chain(*inner: nn.Module, out: int = 5) -> nn.Sequential:
    """Two convolutions with something between them, and a classifier."""
    first, second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 12, 3, padding=1)
    return nn.Sequential(first, *(inner or (nn.ReLU(),)), second, nn.Flatten(), nn.Linear(768, out))


class Raw(nn.Module):
    """Convolves with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.head = nn.Parameter(torch.randn(16, 3, 3, 3)), nn.Conv2d(16, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.conv2d(x, self.kernel).relu()).mean((2, 3))


class Constant(nn.Module):
    """States a size itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 512, 6), nn.Linear(512, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.body(x)).view(-1, 512))


class Cut(nn.Module):
    """Cuts channels into unequal parts."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(5, 48, 1), nn.Conv2d(11, 48, 1)
        self.head = nn.Conv2d(48, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.body(x).split([5, 11], 1)
        return self.head(self.a(a) + self.b(b)).mean((2, 3))


class Twice(nn.Module):
    """Uses one layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.same, self.head = nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.same(self.same(self.first(x)).relu()))


class Tied(nn.Module):
    """Reads tokens by the weights that it writes them with."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.hidden, self.head = nn.Embedding(20, 16), nn.Linear(16, 16), nn.Linear(16, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(self.embed(tokens)).relu())


class Assigns(nn.Module):
    """Overwrites channels in place."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.second, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 12, 3), nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).relu_()
        y[:, 3:7] = 0
        return self.head(self.second(y).relu_()).mean((2, 3))


class Branches(nn.Module):
    """Decides by what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = chain()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if y.mean() > 0:
            return y
        return -y


class Numpy(nn.Module):
    """Leaves PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.body = chain()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return y + torch.from_numpy(y.detach().cpu().numpy().copy())


class Noisy(nn.Module):
    """Adds noise also in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = chain()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + torch.randn(x.shape[0], 5)


class Recurrent(nn.Module):
    """Reads rows one after another."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.before, self.rnn = nn.Linear(8, 16), kind(16, 12, batch_first=True)
        self.hidden, self.head = nn.Linear(12, 240), nn.Linear(240, 5)

    def forward(self, x: Tensor) -> Tensor:
        rows, _ = self.rnn(self.before(x))
        return self.head(self.hidden(rows[:, -1]).relu())


class Bessel(nn.Module):
    """Computes what nobody has a rule for."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0(x)


class Grouped(nn.Module):
    """A grouped and a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.grouped = nn.Conv2d(3, 18, 3), nn.Conv2d(18, 18, 3, groups=3)
        self.depthwise, self.head = nn.Conv2d(18, 18, 3, groups=18), nn.Conv2d(18, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.depthwise(self.grouped(self.body(x)))).mean((2, 3))


class Structured(nn.Module):
    """Takes a dictionary of inputs, one of them missing, and returns a named tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 5, 1)

    def forward(self, pixels: Tensor, mask: Tensor | None = None) -> Both:
        features = self.body(pixels) if mask is None else self.body(pixels) * mask
        return Both(self.head(features), {"none": None, "mean": self.head(features).mean()})


def attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.Sequential(nn.Linear(8, 16), layer, nn.Linear(16, 5))


def shuffling() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.PixelShuffle(2), nn.Conv2d(4, 5, 3))


def weight_normed() -> nn.Module:
    model = chain()
    parametrizations.weight_norm(model[0])
    parametrizations.spectral_norm(model[2])
    return model


def half_pruned() -> nn.Module:
    from gnnrl.network.tracing.tracer import trace
    from gnnrl.pruning.plan import Plan
    from gnnrl.pruning.pruner import prune

    model = chain()
    return prune(model, images(), Plan.uniform(trace(model, images()), "macs<=50%"), criterion="l2")
