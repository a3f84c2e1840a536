"""What repair gives back: networks at half of their MACs with none, BatchNorm only and least squares, and its cost.

    python benchmarks/repair.py --data cifar10-jpeg --weights weights --work trained

`--weights` is a folder with `resnet20_cifar10_jpeg.safetensors` and `resnet56_cifar10_jpeg.safetensors`; networks with
group and layer normalisation are trained once and kept in `--work`. Widths are those of the error curves; every row
reads the test set once, before any fine-tuning. The last table has seconds and memory of ImageNet-size networks with
random weights, each in a process of its own. A row that the result file has already is not measured again.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import machine
import torch
from small_networks import SMALL, trained
from torch import nn

from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracer import trace
from gnnrl.pruning.calibration import Calibration, calibrate
from gnnrl.pruning.curves import curves_plan, error_curves
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
    "ls, own outputs": Repair(stream=False),
    "ls": Repair(),
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
    record: Calibration
    plan: Plan


def main() -> None:
    """Measure what is missing, print all rows."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.large:
        print(json.dumps(_large(options.large, LARGE[options.large])))
        return
    facts = {**machine.describe(), "constraint": options.constraint}
    path = Path(__file__).parent / "results" / f"{options.name}.json"
    document = json.loads(path.read_text()) if path.exists() else {**facts, "accuracy": {}, "large": {}}
    for kind, name, row in _missing(document, options):
        document[kind][name] = row
        machine.write(options.name, document)
    _print(document)


def _missing(document: dict[str, Any], options: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Rows that are not there yet, one after the other."""
    spec = input_spec("cifar-resnet20")
    names = [name for name in (*PUBLISHED, *SMALL) if name not in document["accuracy"]]
    splits = load_data(options.data, image_size=(32, 32), mean=spec.mean, std=spec.std) if names else None
    for name in names:
        assert splits is not None
        yield "accuracy", name, _accuracy(name, splits, options)
    for name in LARGE:
        if name not in document["large"]:
            command = [sys.executable, __file__, "--large", name, "--threads", str(options.threads)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            yield "large", name, json.loads(done.stdout.splitlines()[-1])


def _accuracy(name: str, splits: DataSplits, options: argparse.Namespace) -> dict[str, Any]:
    """Test accuracy of a network, dense and with each repair."""
    read_test = evaluator(splits.test, precision="bfloat16")
    if name in PUBLISHED:
        model = resolve_model(name).eval()
        load_weights(model, Path(options.weights) / f"{PUBLISHED[name]}_cifar10_jpeg.safetensors")
    else:
        model = trained(name, splits.train, Path(options.work))
    network = trace(model, splits.test.batch(torch.arange(2))[0])
    record = calibrate(model, batched(splits.calibration, 125))
    plan = curves_plan(Projection.build(network, options.constraint), error_curves(model, network, record))
    case = Case(model, network, record, plan)
    row = {"dense": read_test(model)} | {arm: _repaired(case, arm, read_test) for arm in ARMS}
    print(f"  {name}: " + ", ".join(f"{arm} {100 * value:.2f}" for arm, value in row.items()), flush=True)
    return row


def _repaired(case: Case, arm: str, read_test: Callable[[nn.Module], float]) -> float:
    assert case.plan.kept is not None
    small = remove(case.model, case.network, case.plan.kept)
    settings = ARMS[arm]
    if settings is not None:
        repair(small, case.network, case.plan.kept, case.record, settings)
    return read_test(small)


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
    arms = ("dense", *ARMS)
    print(f"\n| top-1 at {document['constraint']} | " + " | ".join(arms) + " |")
    print("| --- |" + " ---: |" * len(arms))
    for name, row in document["accuracy"].items():
        print(f"| {name} | " + " | ".join(f"{100 * row[arm]:.1f}" for arm in arms) + " |")
    print("\n| 224x224 | images | calibrate, s | repair, s | peak before, GB | peak, GB |")
    print("| --- |" + " ---: |" * 5)
    for name, row in document["large"].items():
        seconds = f"{row['calibrate_seconds']:.0f} | {row['repair_seconds']:.0f}"
        print(f"| {name} | {row['images']} | {seconds} | {row['before_gigabytes']:.1f} | {row['peak_gigabytes']:.1f} |")


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
