"""Mutated networks: the test topologies with random faults in their code, their weights and their inputs.

    python benchmarks/mutations.py --networks 500

traces, prunes and repairs each, and counts the errors that are not gnnrl's own.
"""

import argparse
import random
import sys
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import gnnrl

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.topologies import TOPOLOGIES, topology


class UsersError(Exception):
    """An error that only the user's code knows."""


def _fail(_: Tensor) -> Tensor:
    raise UsersError("this layer is broken")


OPERATIONS: dict[str, Callable[[Tensor], Any]] = {
    "flip": lambda x: x.flip(-1),
    "roll": lambda x: x.roll(1, 1),
    "sort": lambda x: x.sort(1)[0],
    "cumulate": lambda x: x.cumsum(1),
    "softmax": lambda x: x.softmax(1),
    "swap": lambda x: x.transpose(0, 1).transpose(0, 1),
    "swap for good": lambda x: x.transpose(0, -1),
    "halve": lambda x: x[:, : x.shape[1] // 2],
    "first half twice": lambda x: torch.cat([x[:, : x.shape[1] // 2]] * 2, 1),
    "first sample": lambda x: x[0],
    "flatten": lambda x: x.view(-1),
    "flatten and back": lambda x: x.reshape(-1).reshape(x.shape),
    "shape it by a number": lambda x: x.reshape(x.shape[0], 4, -1).reshape(x.shape),
    "split": lambda x: torch.cat(x.split(3, 1)[::-1], 1),
    "as strided": lambda x: x.as_strided(x.shape, x.stride()),
    "double": Tensor.double,
    "half and back": lambda x: x.half().float(),
    "to integers": Tensor.long,
    "to bytes and back": lambda x: (x > 0).byte().to(x.dtype),
    "complex": lambda x: torch.view_as_real(torch.fft.fft(x)).mean(-1),
    "sparse": lambda x: x.to_sparse().to_dense(),
    "through numpy": lambda x: torch.from_numpy(x.detach().numpy()),
    "through a list": lambda x: torch.tensor(x.tolist()),
    "by a value": lambda x: x * 2 if float(x.sum()) > 0 else x,
    "choose": lambda x: x[x > 0].sum() + x,
    "count": lambda x: x + torch.unique(x).numel(),
    "write": lambda x: x.clone().index_fill_(1, torch.tensor([0]), 0.0),
    "write to the input": lambda x: x.mul_(2),
    "normalise": lambda x: x / x.norm(dim=1, keepdim=True),
    "standardise": lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
    "divide by zero": lambda x: x / (x - x),
    "noise": lambda x: x + torch.rand(x.shape),
    "product": lambda x: torch.einsum("...i,...j->...ij", x, x).mean(-1),
    "mix samples": lambda x: x - x.mean(0, keepdim=True),
    "nothing": lambda _: None,
    "a pair": lambda x: (x, x),
    "a dictionary": lambda x: {"x": x},
    "no channels": lambda x: x[:, :0],
    "fail": _fail,
    "end early": lambda _: next(iter(())),
    "missing key": lambda x: {}[x.shape],
    "assert": lambda x: torch._assert(x.sum() > 1e9, "small"),
    "special": torch.special.i0,
    "compiled": torch.compile(lambda x: x + 1, backend="eager"),
}


class Mutated(nn.Module):
    """A layer with an operation behind it."""

    def __init__(self, layer: nn.Module, operation: str) -> None:
        super().__init__()
        self.layer, self.operation = layer, operation

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer, and the operation on its result or, if it returns several, on the first one."""
        found = self.layer(*args, **kwargs)
        return OPERATIONS[self.operation](found[0] if isinstance(found, tuple) else found)

    def __getattr__(self, name: str) -> Any:
        """Return what the layer has under other names, as its users expect."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def mutated(seed: int) -> tuple[str, nn.Module, Any]:
    """Return what was done to a topology, the network, and its inputs."""
    rng = random.Random(seed)
    case = topology(rng.choice(sorted(TOPOLOGIES)))
    told, model, inputs = [case.name], case.model, case.example_inputs
    for _ in range(rng.choice((1, 1, 1, 2))):
        what, model, inputs = rng.choice(_MUTATIONS)(model, inputs, rng)
        told.append(what)
    return ", ".join(told), model, inputs


def _operate(model: nn.Module, inputs: Any, rng: random.Random) -> tuple[str, nn.Module, Any]:
    operation = rng.choice(sorted(OPERATIONS))
    name = _replace_one(model, lambda layer: Mutated(layer, operation), rng)
    return f"{operation} after {name}", model, inputs


def _exchange(model: nn.Module, inputs: Any, rng: random.Random) -> tuple[str, nn.Module, Any]:
    layer = rng.choice((nn.Identity, lambda: nn.LazyLinear(8), lambda: nn.Linear(7, 5), nn.LSTM, nn.Bilinear))
    made = layer(4, 4, 4) if layer is nn.Bilinear else layer(4, 4) if layer is nn.LSTM else layer()
    return f"{type(made).__name__} for {_replace_one(model, lambda _: made, rng)}", model, inputs


def _replace_one(model: nn.Module, change: Callable[[nn.Module], nn.Module], rng: random.Random) -> str:
    """Replace a random layer in its parent, and return its name; a network without layers inside is left alone."""
    leaves = [name for name, layer in model.named_modules() if name and not list(layer.children())]
    if not leaves:
        return "nothing"
    name = rng.choice(leaves)
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, change(model.get_submodule(name)))
    return name


def _reweigh(model: nn.Module, inputs: Any, rng: random.Random) -> tuple[str, nn.Module, Any]:
    names = [name for name, _ in model.named_parameters()]
    if not names:
        return "no weights", model, inputs
    name = rng.choice(names)
    parent, _, last = name.rpartition(".")
    owner, tensor = model.get_submodule(parent), model.get_parameter(name).detach()
    kinds: dict[str, Callable[[], Any]] = {
        "NaN": lambda: nn.Parameter(tensor * float("nan")),
        "huge": lambda: nn.Parameter(tensor * 1e30),
        "zero": lambda: nn.Parameter(tensor * 0),
        "half": lambda: nn.Parameter(tensor.half()),
        "complex": lambda: nn.Parameter(tensor.to(torch.complex64)),
        "shorter": lambda: nn.Parameter(tensor[:-1]),
        "meta": lambda: nn.Parameter(tensor.to("meta")),
        "frozen": lambda: nn.Parameter(tensor, requires_grad=False),
        "missing": lambda: None,
        "tied": lambda: next(p for p in model.parameters() if p.shape == tensor.shape),
        "expanded": lambda: nn.Parameter(tensor[:1].expand(tensor.shape)),
    }
    kind = rng.choice(sorted(kinds))
    setattr(owner, last, kinds[kind]())
    return f"{kind} {name}", model, inputs


def _attach(model: nn.Module, inputs: Any, rng: random.Random) -> tuple[str, nn.Module, Any]:
    module = rng.choice(list(model.modules()))
    kinds: dict[str, Callable[[], Any]] = {
        "a lock": threading.Lock,
        "a generator": lambda: (number for number in range(3)),
        "a function over the network": lambda: lambda x: model(x),
        "itself in a list": lambda: [module],
        "a tensor of a graph": lambda: torch.ones(3, requires_grad=True) * 2,
        "a numpy array": lambda: np.ones(3),
        "sizes": lambda: (8, 16, 3),
    }
    kind = rng.choice(sorted(kinds))
    module.attached = kinds[kind]()
    return f"holds {kind}", model, inputs


def _refeed(model: nn.Module, inputs: Any, rng: random.Random) -> tuple[str, nn.Module, Any]:
    first = inputs[0] if isinstance(inputs, tuple) else inputs
    if not isinstance(first, Tensor):
        return "inputs as they are", model, inputs
    kinds: dict[str, Callable[[], Any]] = {
        "one sample": lambda: first[:1],
        "no sample": lambda: first[:0],
        "integers": first.long,
        "doubles": first.double,
        "NaN": lambda: first * float("nan"),
        "a number": lambda: 3,
        "nothing": lambda: None,
        "a text": lambda: "x",
        "an empty tuple": lambda: (),
        "another name": lambda: {"other": first},
        "a dictionary in a list": lambda: [{"x": first}],
        "one dimension less": lambda: first[0],
        "on meta": lambda: first.to("meta"),
        "with gradients": lambda: first.clone().requires_grad_() if first.is_floating_point() else first,
    }
    kind = rng.choice(sorted(kinds))
    return f"inputs: {kind}", model, kinds[kind]()


_MUTATIONS = (_operate, _operate, _operate, _exchange, _reweigh, _attach, _refeed)


def outcome(seed: int) -> tuple[str, BaseException | None]:
    """Trace, prune and repair the network of this number; return how far it came, and an error."""
    _, model, inputs = mutated(seed)
    stage = "trace"
    try:
        network = gnnrl.trace(model, inputs)
        stage = "plan"
        widths = [max(1, group.size // 2) for group in network.groups]
        plan = gnnrl.Plan.of_widths(network, widths)
        stage = "prune"
        gnnrl.prune(model, inputs, plan, network=network)
        stage = "repair"
        first = inputs[0] if isinstance(inputs, tuple) else inputs
        if isinstance(first, Tensor):
            gnnrl.prune(model, inputs, plan, network=network, calibration=[first] * 4)
    except Exception as error:
        return stage, error
    return "pruned", None


def main() -> None:
    """Count outcomes, print foreign errors, and keep what was found."""
    import machine  # here, for the tests import this file without its neighbours

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="number of the first network")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: Counter[str] = Counter()
    foreign = 0
    for seed in range(args.first, args.first + args.networks):
        stage, error = outcome(seed)
        name = stage if error is None else f"{stage}: {type(error).__name__}"
        found[name] += 1
        if error is not None and not isinstance(error, gnnrl.GnnrlError):
            foreign += 1
            print(f"{seed} ({mutated(seed)[0]}) {name}: {str(error)[:200]}", flush=True)
            traceback.print_exception(error, limit=-3)
    document = {"networks": args.networks, "foreign": foreign, "outcomes": dict(found)}
    machine.write("mutations", document)
    print(document)


if __name__ == "__main__":
    main()
