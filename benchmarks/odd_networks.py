"""Random networks of unusual parts: tied weights, shared and always-training normalisations, work in place, scripts.

    python benchmarks/odd_networks.py --networks 500

prunes each to 70 % of its MACs and counts those that the repair makes worse on images that it did not see.
"""

import argparse
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gnnrl

SIZE = 8


@torch.jit.script
def scripted_swish(x: Tensor) -> Tensor:
    """Multiply by the sigmoid, where no function of torch is seen."""
    return x * torch.sigmoid(x)


class Part(nn.Module):
    """Two convolutions with a normalisation each, around a shortcut where `stream` says so."""

    def __init__(self, width: int, inner: int, *, stream: bool, norm: str, script: bool, inplace: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, inner, 3, padding=1), nn.Conv2d(inner, width, 1)
        self.norms = nn.ModuleList([_norm(norm, inner), _norm(norm, width)])
        if norm == "shared" and inner == width:
            self.norms[1] = self.norms[0]
        self.stream, self.script, self.inplace = stream, script, inplace

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, width, H, W] to the same shape."""
        y = self.norms[0](self.first(x))
        y = scripted_swish(y) if self.script else F.relu(y, inplace=self.inplace)
        y = self.norms[1](self.second(y))
        if not self.stream:
            return F.relu(y)
        return y.add_(x) if self.inplace else x + y


class Mixer(nn.Module):
    """A linear layer over channels, used twice, whose weight is read once more as a plain product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, width, H, W] to the same shape."""
        y = self.down(F.gelu(self.up(x.movedim(1, -1))))
        return x + (y + F.gelu(y @ self.up.weight.T)[..., : x.shape[1]]).movedim(-1, 1) / 2


class Odd(nn.Module):
    """A stem, some parts and a head; the input may be normalised in place."""

    def __init__(self, parts: list[nn.Module], width: int, inplace: bool) -> None:
        super().__init__()
        self.stem, self.parts = nn.Conv2d(3, width, 3, padding=1), nn.Sequential(*parts)
        self.head, self.inplace = nn.Linear(width, 5), inplace

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 3, H, W] to logits [N, 5]."""
        x = x.sub_(0.1).div_(1.1) if self.inplace else (x - 0.1) / 1.1
        found: Tensor = self.head(self.parts(F.relu(self.stem(x))).mean((2, 3)))
        return found


def random_network(seed: int) -> nn.Module:
    """The network of this number, with statistics of random images, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)

    def pick(*choices: object) -> object:
        return choices[int(torch.randint(len(choices), (1,), generator=generator))]

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        width = int(str(pick(8, 12, 16)))
        makers: list[Callable[[], nn.Module]] = [lambda: Mixer(width)] + 3 * [
            lambda: Part(
                width,
                int(str(pick(width, 2 * width))),
                stream=bool(pick(True, False)),
                norm=str(pick("batch", "shared", "always", "none")),
                script=bool(pick(True, False)),
                inplace=bool(pick(True, False)),
            )
        ]
        parts = [makers[int(torch.randint(4, (1,), generator=generator))]() for _ in range(int(str(pick(1, 2, 3))))]
        if len(parts) > 1 and pick(True, False):
            _tie(parts[0], parts[1])
        model = Odd(parts, width, bool(pick(True, False))).train()
        with torch.no_grad():
            for _ in range(20):
                model(images(64, seed))
    return model.eval()


def images(count: int, seed: int) -> Tensor:
    """Random images [N, 3, 8, 8] of a few patterns, so that channels depend on each other as in a real network."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randn(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(count, 12, generator=generator)
    noise = torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return torch.einsum("np,pchw->nchw", weights, patterns) / 3 + 0.3 * noise


def _norm(kind: str, width: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm2d(width, track_running_stats=kind != "always")


def _tie(first: nn.Module, second: nn.Module) -> None:
    """Let two parts share the weight of their first layer, where it has one shape."""
    for name in ("first", "up"):
        a, b = getattr(first, name, None), getattr(second, name, None)
        if a is not None and b is not None and a.weight.shape == b.weight.shape:
            b.weight = a.weight


def errors(seed: int) -> tuple[float, float]:
    """Error over variance on unseen images of the pruned network of this number, before and after the repair."""
    model, example = random_network(seed), images(2, 1)
    data, unseen = images((40, 100, 300)[seed % 3], 1000 + seed), images(400, 2000 + seed)
    network = gnnrl.trace(model, example)
    plan = gnnrl.Plan.uniform(network, "macs<=70%")
    pruned = gnnrl.prune(model, example, plan, network=network)
    repaired = gnnrl.prune(model, example, plan, network=network, calibration=[data])
    with torch.no_grad():
        dense = model(unseen.clone())
        before, after = (float((small(unseen.clone()) - dense).square().mean()) for small in (pruned, repaired))
        return before / float(dense.var()), after / float(dense.var())


def main() -> None:
    """Count networks, and keep what was found."""
    import machine  # here, for the tests import this file without its neighbours

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=500)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = [errors(seed) for seed in range(args.networks)]
    worse = [seed for seed, (before, after) in enumerate(found) if after > before]
    ratios = torch.tensor([after / before for before, after in found])
    document = {
        "networks": len(found),
        "worse": worse,
        "median_ratio": float(ratios.median()),
        "largest_ratio": float(ratios.max()),
    }
    machine.write("odd_networks", document)
    print(document)


if __name__ == "__main__":
    main()
