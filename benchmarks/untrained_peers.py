"""What other tools leave of a network without training: pruned by one of them in an environment of its own.

    ENVIRONMENT/bin/python benchmarks/untrained_peers.py --peer torch-kirigami-magnitude --network mobilenet_v2 ...

`untrained.py --peer-python` starts it, on its own weights and images, and reads the logits from `--out`: as the tool
returned the network, and with the statistics of BatchNorm taken again from the calibration images. Every tool is asked
for more and more until torch's counter says that the limit on MACs holds.
"""

import argparse
import copy
import itertools
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from untrained_subjects import SUBJECTS, fold_of, logits, macs, recalibrated

PEERS = {
    "torch-pruning-magnitude": "torch-pruning",
    "torch-pruning-taylor": "torch-pruning",
    "torch-kirigami-magnitude": "torch-kirigami",
    "onnxsim-wanda": "onnxsim",
}
"""Names of the rows, and the package of each."""
HALVINGS = 7
"""Number of times that the interval of a ratio is halved, for tools that take no limit on MACs."""
RENEWED_EVERY = 10
"""Steps of Torch-Pruning between two gradients for Taylor."""


def torch_pruning(model: nn.Module, x: Tensor, shares: list[float], method: str) -> Iterator[nn.Module]:
    """Torch-Pruning, ranking over the whole network; in 100 steps until each limit holds."""
    tool = import_module("torch_pruning")
    kind = tool.importance.TaylorImportance if method == "taylor" else tool.importance.MagnitudeImportance
    heads = [module for module in model.modules() if isinstance(module, nn.Linear)]
    whole = macs(model, x)
    settings = {"global_pruning": True, "pruning_ratio": 1.0, "iterative_steps": 100, "ignored_layers": heads}
    pruner = tool.pruner.MetaPruner(model, x[:1], importance=kind(), **settings)
    step = 0
    for share in shares:
        while macs(model, x) > share * whole:
            if method == "taylor" and step % RENEWED_EVERY == 0:
                model.zero_grad()
                for part in x.split(50):
                    found = model(part)
                    nn.functional.cross_entropy(found, found.argmax(1)).backward()
            pruner.step()
            step += 1
        yield copy.deepcopy(model)


def smallest_ratio(small: Callable[[float], nn.Module], x: Tensor, limit: float) -> float:
    """The least ratio of channels whose removal meets a limit on MACs, by halving."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if macs(small(middle), x) <= limit else (middle, high)
    return high


def torch_kirigami(model: nn.Module, x: Tensor, shares: list[float], method: str) -> Iterator[nn.Module]:
    """torch-kirigami, greedy by the magnitude of groups, with one ratio of all channels together."""
    assert method == "magnitude"
    tool = import_module("torch_kirigami")
    kit = import_module("torch_kirigami.pruning")
    whole = macs(model, x)
    pruner = kit.Pruner(model, graph=tool.DependencyGraph.build(model, args=(x[:1],)))
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    whole_ones = [name for name in convolutions if model.get_submodule(name).groups == 1]  # the others follow them
    space = pruner.discover_candidates(targets=whole_ones)
    strategy = kit.Greedy(kit.GroupMagnitude(p=2))

    @cache
    def pruned(ratio: float) -> nn.Module:
        plan = pruner.plan(space, budget=kit.ChannelRatio(ratio, scope="global"), strategy=strategy)
        small: nn.Module = kit.Pruner(copy.deepcopy(model)).apply(plan)[0]
        return small

    for share in shares:
        yield copy.deepcopy(pruned(smallest_ratio(pruned, x, share * whole)))


def onnxsim(model: nn.Module, x: Tensor, shares: list[float], method: str) -> Iterator[nn.Module]:
    """Structured Wanda of onnxsim and its repair, on the exported file; the weights are read back into the network."""
    assert method == "wanda"
    tool, numpy_helper = import_module("onnxsim"), import_module("onnx").numpy_helper
    fused, whole = folded(copy.deepcopy(model)), macs(model, x)
    settings = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "dynamo": True, "verbose": False}
    dense = torch.onnx.export(fused, (x[:4],), **settings).model_proto
    batches = [{dense.graph.input[0].name: part.numpy()} for part in x.split(20)]

    def network(file: Any) -> nn.Module:
        state = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in file.graph.initializer}
        return read_back(fused, state)

    def wanda(ratio: float, few: int | None = None) -> Any:
        settings = {"sparsity": ratio, "global_sparsity": True}  # far better here than one ratio for each layer
        return tool.apply_structured_wanda_pruning_cpp(dense, batches[:few], **settings)

    for share in shares:
        ratio = smallest_ratio(lambda ratio: network(wanda(ratio, 2)), x, share * whole)
        while macs(network(small := wanda(ratio)), x) > share * whole:
            ratio += 0.005
        yield unfolded(network(tool.apply_pruning_finetune(dense, small, batches)), fused, model)


def folded(model: nn.Module) -> nn.Module:
    """Fold every BatchNorm into the convolution before it, in place, as onnxsim expects it."""
    fuse = torch.nn.utils.fusion.fuse_conv_bn_eval
    for before, after in pairs(model):
        place(model, before, fuse(model.get_submodule(before), model.get_submodule(after)))
        place(model, after, nn.Identity())
    return model


def pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions, and of the BatchNorms that follow them."""
    found = []
    for path, parent in model.named_modules():
        children = [(f"{path}.{name}".strip("."), child) for name, child in parent.named_children()]
        for (before, first), (after, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                found.append((before, after))
    return found


def place(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a path."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def read_back(fused: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """The folded network with the narrower weights of a file."""
    small = copy.deepcopy(fused)
    for name, module in small.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight = nn.Parameter(state[f"{name}.weight"], requires_grad=False)
            module.bias = nn.Parameter(state[f"{name}.bias"], requires_grad=False)
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.groups = len(module.weight)
    return small


def unfolded(small: nn.Module, fused: nn.Module, model: nn.Module) -> nn.Module:
    """Put a BatchNorm behind each convolution again, in place, with the dense weights of the channels that stay.

    It is the identity until its statistics are taken again: they are those that the dense one had made of its inputs,
    the mean its bias and the deviation its weight. A channel is known by its bias, which no step changes.
    """
    for before, after in pairs(model):
        old, new = fused.get_submodule(before), small.get_submodule(before)
        kept = torch.tensor([int((old.bias == value).nonzero()[0]) for value in new.bias])
        dense = model.get_submodule(after)
        norm = nn.BatchNorm2d(len(kept), eps=dense.eps)
        norm.weight = nn.Parameter(dense.weight.detach()[kept].abs().clamp(min=1e-3))
        norm.bias = nn.Parameter(dense.bias.detach()[kept])
        norm.running_mean, norm.running_var = norm.bias.detach().clone(), norm.weight.detach().square() - dense.eps
        place(small, after, norm)
    return small.eval()


TOOLS = {"torch-pruning": torch_pruning, "torch-kirigami": torch_kirigami, "onnxsim": onnxsim}


def main() -> None:
    """Prune by one tool to every limit, and write the logits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--network", choices=SUBJECTS, required=True)
    parser.add_argument("--shares", required=True, help="of the dense network's MACs, descending, joined by commas")
    parser.add_argument("--fold", type=int, required=True)
    for name in ("--images", "--weights", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    subject = SUBJECTS[args.network]
    (x, _), (seen, _) = (subject.images(args.images, numbers) for numbers in fold_of(args.fold))
    model = subject.build(args.weights)
    dense, shares = macs(model, x), [float(share) for share in args.shares.split(",")]
    found: dict[str, Any] = {"versions": {name: metadata.version(name) for name in (PEERS[args.peer], "torch")}}
    for share, small in zip(
        shares, TOOLS[PEERS[args.peer]](model, x, shares, args.peer.rpartition("-")[2]), strict=True
    ):
        returned = logits(small.eval(), seen)
        again = logits(recalibrated(small, x), seen)
        found[str(share)] = {"macs": macs(small, x) / dense, "returned": returned, "recalibrated": again}
        torch.save(found, args.out)


if __name__ == "__main__":
    main()
