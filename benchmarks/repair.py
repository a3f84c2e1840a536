"""What repair gives back at half of the MACs, what each of its parts gives, and what it costs in time and memory.

    python benchmarks/repair.py --data cifar10-jpeg --weights weights --work trained

`--weights` is a folder with `resnet20_cifar10_jpeg.safetensors` and `resnet56_cifar10_jpeg.safetensors`; networks with
group and layer normalisation are trained once and kept in `--work`. Widths are those of the error curves; every row
reads the test set once, before any fine-tuning. One table takes repair apart on the ResNets, one has its accuracy and
processor seconds by images and samples, and the last seconds and memory of ImageNet-size networks with random weights,
each in a process of its own; `many_images.py` measures these with more images. A row that the result file has already
is not measured again.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import machine
import many_images
import torch
from small_networks import SMALL, trained
from torch import Tensor, nn

from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.calibration.dense import Calibration, calibrate
from gnnrl.pruning.calibration.sampling import Sampler
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.reconstruction import Repair, repair
from gnnrl.training import evaluator
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits, load_data
from gnnrl.zoo.models import input_spec, resolve_model
from gnnrl.zoo.weights import load_weights

ARMS: dict[str, Repair | None] = {
    "none": None,
    "bn": Repair(least_squares=False),
    "ls": Repair(),
}
PARTS: dict[str, Callable[["Case"], nn.Module]] = {
    "dense statistics": lambda case: _from_dense_statistics(case),
    "in sequence": lambda case: _repaired(case, Repair(stream=False)),
    "stream, last layers of branches": lambda case: _repaired(_last_layers(case), Repair()),
    "stream, all layers": lambda case: _repaired(case, Repair()),
    "new variance": lambda case: _repaired(case, Repair(new_variance=True)),
}
EFFORTS = {
    f"{images} images, {samples} samples": (images, samples) for images in (250, 500) for samples in (4096, 8192, 16384)
}
PUBLISHED = {"cifar-resnet20": "resnet20", "cifar-resnet56": "resnet56"}
LARGE = {
    "torchvision:resnet50": 64,
    "torchvision:vgg16": 64,
    "torchvision:vit_b_16": 64,
    "torchvision:convnext_tiny": 64,
    "torchvision:densenet121": 64,
}


@dataclass(frozen=True)
class Case:
    """A dense network, what was recorded of it, and the plan that all rows share."""

    model: nn.Module
    network: Network
    data: list[tuple[Tensor, Tensor]]
    record: Calibration
    plan: Plan


Judge = Callable[[nn.Module], float]


def main() -> None:
    """Measure what is missing, print all rows."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.large:
        print(json.dumps(_large(options.large, LARGE[options.large])))
        return
    facts = {**machine.describe(), "constraint": options.constraint}
    path = Path(__file__).parent / "results" / f"{options.name}.json"
    document = (
        json.loads(path.read_text())
        if path.exists()
        else {**facts, "accuracy": {}, "parts": {}, "effort": {}, "large": {}}
    )
    for kind, name, row in _missing(document, options):
        document[kind][name] = row
        machine.write(options.name, document)
    _print(document)


def _missing(document: dict[str, Any], options: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Rows that are not there yet, one after the other."""
    kinds: dict[str, tuple[Iterable[str], Callable[[Case, Judge], dict[str, Any]]]] = {
        "accuracy": ((*PUBLISHED, *SMALL), _accuracy),
        "parts": (PUBLISHED, _parts),
        "effort": (PUBLISHED, _effort),
    }
    names = [name for name in (*PUBLISHED, *SMALL) if any(_lacks(document, kind, name, kinds) for kind in kinds)]
    spec = input_spec("cifar-resnet20")
    splits = load_data(options.data, image_size=(32, 32), mean=spec.mean, std=spec.std) if names else None
    for name in names:
        assert splits is not None
        case, judge = _case(name, splits, options), evaluator(splits.test, precision="bfloat16")
        for kind, (_, measure) in kinds.items():
            if _lacks(document, kind, name, kinds):
                yield kind, name, measure(case, judge)
    for name in LARGE:
        if name not in document["large"]:
            command = [sys.executable, __file__, "--large", name, "--threads", str(options.threads)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            yield "large", name, json.loads(done.stdout.splitlines()[-1])


def _lacks(document: dict[str, Any], kind: str, name: str, kinds: dict[str, Any]) -> bool:
    return name in kinds[kind][0] and name not in document[kind]


def _case(name: str, splits: DataSplits, options: argparse.Namespace) -> Case:
    """A dense network with its calibration and the plan of its error curves."""
    if name in PUBLISHED:
        model = resolve_model(name).eval()
        load_weights(model, Path(options.weights) / f"{PUBLISHED[name]}_cifar10_jpeg.safetensors")
    else:
        model = trained(name, splits.train, Path(options.work))
    network = trace(model, splits.test.batch(torch.arange(2))[0])
    data = list(batched(splits.calibration, 125))
    record = calibrate(model, data)
    curves = error_curves(model, network, record)
    projection = Projection.build(network, options.constraint, machine.EVERY_WIDTH)
    widths = Allocation.build(projection, curves).widths()
    return Case(model, network, data, record, Plan.of_widths(network, widths, [curve.order for curve in curves]))


def _accuracy(case: Case, judge: Judge) -> dict[str, Any]:
    """Test accuracy of a network, dense and with each repair."""
    row = {"dense": judge(case.model)} | {arm: judge(_repaired(case, settings)) for arm, settings in ARMS.items()}
    return _told(row)


def _parts(case: Case, judge: Judge) -> dict[str, Any]:
    """Test accuracy with parts of the repair."""
    return _told({part: judge(build(case)) for part, build in PARTS.items()})


def _effort(case: Case, judge: Judge) -> dict[str, Any]:
    """Test accuracy and processor seconds of one repair, by images and samples of each layer."""
    row = {}
    for effort, (images, samples) in EFFORTS.items():
        sampler = Sampler(per_input=1, least=samples)
        case = replace(case, record=calibrate(case.model, case.data, images=images, sampler=sampler, moments=False))
        _repaired(case, Repair())
        start = process_time()
        small = _repaired(case, Repair())
        row[effort] = {"seconds": process_time() - start, "top1": judge(small)}
    return _told(row)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    print(f"  {row}", flush=True)
    return row


def _repaired(case: Case, settings: Repair | None) -> nn.Module:
    assert case.plan.kept is not None
    small = remove(case.model, case.network, case.plan.kept)
    if settings is not None:
        repair(small, case.network, case.plan.kept, case.record, settings)
    return small


def _last_layers(case: Case) -> Case:
    """Nothing recorded but the layers that end on the residual stream and the classifier."""
    layers = case.record.layers
    ends = {order: layer for order, layer in layers.items() if layer.branch_target or order == max(layers)}
    return replace(case, record=replace(case.record, layers=ends))


@torch.no_grad()
def _from_dense_statistics(case: Case) -> nn.Module:
    """Every layer solved for the dense network's inputs, W' = W C (C + λI)⁻¹ on what is left; then new BatchNorm."""
    assert case.plan.kept is not None
    small = remove(case.model, case.network, case.plan.kept)
    places = case.network.positions(case.network.alive(case.plan.kept))
    for layer in case.record.layers.values():
        if layer.moments is None:
            continue
        weight, goal = case.model.get_parameter(layer.name), small.get_parameter(layer.name)
        kernel = weight[0, 0].numel()
        rows = torch.as_tensor(places.get((layer.name, 0), range(len(weight))))
        columns = torch.as_tensor(places.get((layer.name, 1), range(weight.shape[1])))
        inputs = (columns[:, None] * kernel + torch.arange(kernel)).flatten()
        covariance, dense = layer.moments.covariance, weight.flatten(1)[rows]
        left = covariance[inputs][:, inputs]
        left = left + 1e-3 * left.diagonal().mean() * torch.eye(len(left))
        solved = torch.linalg.solve(left, covariance[inputs] @ dense.T).T
        goal.copy_(solved.reshape(goal.shape))
        bias = layer.name.removesuffix("weight") + "bias"
        if bias in dict(small.named_parameters()):
            small.get_parameter(bias).add_(dense @ layer.moments.mean - solved @ layer.moments.mean[inputs])
    repair(small, case.network, case.plan.kept, case.record, Repair(least_squares=False))
    return small


def _large(name: str, images: int) -> dict[str, Any]:
    """Seconds and peak memory of calibration and repair of a network with random weights, half of each group kept."""
    torch.manual_seed(0)
    model = resolve_model(name).eval()
    network = trace(model, torch.randn(1, 3, 224, 224))
    before = _peak_gigabytes()
    start = perf_counter()
    record = calibrate(model, [torch.randn(images, 3, 224, 224)])
    calibrated = perf_counter()
    kept = [range(max(1, group.size // 2)) for group in network.groups]
    small = remove(model, network, kept)
    repair(small, network, kept, record)
    return {
        "images": record.images,
        "calibrate_seconds": calibrated - start,
        "repair_seconds": perf_counter() - calibrated,
        "before_gigabytes": before,
        "peak_gigabytes": _peak_gigabytes(),
    }


def _peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _print(document: dict[str, Any]) -> None:
    _table(f"top-1 at {document['constraint']}", ("dense", *ARMS), document["accuracy"])
    _table("top-1, parts of the repair", tuple(PARTS), document["parts"])
    for name, row in document["effort"].items():
        print(f"\n| {name} | top-1 | processor s |\n| --- | ---: | ---: |")
        for effort, found in row.items():
            print(f"| {effort} | {100 * found['top1']:.2f} | {found['seconds']:.2f} |")
    print("\n| 224x224 | images | calibrate, s | repair, s | peak before, GB | peak, GB |")
    print("| --- |" + " ---: |" * 5)
    for name, row in document["large"].items():
        seconds = f"{row['calibrate_seconds']:.0f} | {row['repair_seconds']:.0f}"
        print(f"| {name} | {row['images']} | {seconds} | {row['before_gigabytes']:.1f} | {row['peak_gigabytes']:.1f} |")
    known = Path(__file__).parent / "results" / "many_images.json"
    print("", *many_images.table(json.loads(known.read_text())["rows"]), sep="\n")


def _table(title: str, columns: Sequence[str], rows: dict[str, Any]) -> None:
    print(f"\n| {title} | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{100 * row[column]:.2f}" for column in columns) + " |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with train and test archives of class folders")
    parser.add_argument("--weights", help="folder with the safetensors of the CIFAR ResNets")
    parser.add_argument("--work", default="trained", help="folder for networks that are trained here")
    parser.add_argument("--constraint", default="macs<=50%")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="repair", help="name of the result file")
    parser.add_argument("--large", choices=LARGE, help="measure only the memory of this one, and print it as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
