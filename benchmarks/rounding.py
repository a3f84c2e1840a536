"""What rounding widths gains in time and costs in accuracy: the measurement behind `round_to="auto"`.

    python benchmarks/rounding.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors

Three parts, one thread, batch 1, float32:

1. layers: convolutions and linear layers of ResNet-18/50, MobileNetV2 and ViT at widths w, w - 1, ..., both of their
   inputs and outputs; the time at each width as a share of the time at w, beside the share of the MACs.
2. networks: ResNet-18 and MobileNetV2 (random weights, 224 x 224) at half of their MACs, closed form.
3. accuracy: ResNet-20 on CIFAR-10, closed form and repair, at three limits; one calibration for all rows.

In 2 and 3 every multiple is tried for all groups, and some for groups from a width on only ("8 from 64").

Each case of 1 and 2 is a process of its own; what is compared takes turns inside it. The machine does other work, which
only ever slows down, so the least time and the lower quartile are reported, not the mean; of whole networks also the
median ratio to rule 1 in the same round. A run of some --parts keeps the others in the file of results.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import machine
import numpy as np
import torch
from torch import nn

from gnnrl.network.cost import Budget
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.curves import Curve, error_curves
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules, channels_per_unit
from gnnrl.scoring.plans import Scorer
from gnnrl.training import evaluator
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import load_data
from gnnrl.zoo.models import example_inputs, input_spec, resolve_model
from gnnrl.zoo.weights import load_weights

MULTIPLES = (1, 2, 4, 8, 16, 32)
RULES = (*((multiple, 1) for multiple in MULTIPLES), (8, 32), (8, 64), (16, 64), (16, 128), (32, 128))
BELOW = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32)
LAYERS = (
    *(("conv3x3", width, space) for width, space in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *(("conv1x1", width, space) for width, space in ((64, 56), (96, 56), (144, 28), (256, 14), (384, 14), (512, 7))),
    *(("depthwise", width, space) for width, space in ((96, 56), (144, 28), (384, 14), (960, 7))),
    *(("linear", width, 197) for width in (192, 384, 768)),
)
NETWORKS = ("torchvision:resnet18", "torchvision:mobilenet_v2")
LIMITS = ("macs<=65%", "macs<=50%", "macs<=35%")
ROUNDS = 40


def main() -> None:
    """Measure, print tables, write them down."""
    options = _options()
    torch.set_num_threads(1)
    if options.case:
        print(json.dumps(_case(*json.loads(options.case), rounds=options.rounds)))
        return
    path = Path(__file__).parent / "results" / f"{options.name}.json"
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    document |= machine.describe()
    if "layers" in options.parts:
        document["layers"] = [_print_layer(_fresh(["layer", *case], options.rounds)) for case in LAYERS]
        document["multiples_of"] = _print_multiples(document["layers"])
    if "networks" in options.parts:
        document["networks"] = [_print_network(_fresh(["network", name], options.rounds)) for name in NETWORKS]
    if "accuracy" in options.parts:
        document["accuracy"] = _accuracy(options.data, options.weights)
    print(f"\nwritten to {machine.write(options.name, document)}", file=sys.stderr)


def _fresh(case: list[Any], rounds: int) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps(case), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _case(kind: str, *case: Any, rounds: int) -> dict[str, Any]:
    return _layer(*case, rounds=rounds) if kind == "layer" else _network(*case, rounds=rounds)


@torch.no_grad()
def _times(candidates: Mapping[Any, Callable[[], object]], rounds: int, reference: Any) -> dict[Any, dict[str, float]]:
    """Times of functions that take turns, in another order each round.

    Returns:
        Least time and lower quartile in milliseconds, and the median of the ratio to the reference in the same round.
    """
    seconds: dict[Any, list[float]] = {name: [] for name in candidates}
    rng = np.random.default_rng(0)
    names = list(candidates)
    for turn in range(rounds + 3):
        for position in rng.permutation(len(names)):
            start = perf_counter()
            candidates[names[position]]()
            if turn >= 3:
                seconds[names[position]].append(perf_counter() - start)
    return {
        name: {
            "min": 1e3 * min(values),
            "quartile": 1e3 * float(np.quantile(values, 0.25)),
            "paired": float(np.median(np.array(values) / np.array(seconds[reference]))),
        }
        for name, values in seconds.items()
    }


def _layer(kind: str, width: int, space: int, rounds: int) -> dict[str, Any]:
    candidates: dict[int, Callable[[], object]] = {}
    widths = [width - less for less in BELOW if less < width]
    for w in widths:
        layer, x = _build_layer(kind, w, space)
        candidates[w] = lambda layer=layer, x=x: layer(x)  # type: ignore[misc]
    times = _times(candidates, 3 * rounds, width)
    power = 1 if kind == "depthwise" else 2
    rows = [{"width": w, "macs": (w / width) ** power, **times[w]} for w in widths]
    return {"layer": kind, "width": width, "space": space, "rows": rows}


def _build_layer(kind: str, width: int, space: int) -> tuple[nn.Module, torch.Tensor]:
    if kind == "linear":
        return nn.Linear(width, width).eval(), torch.randn(1, space, width)
    kernel = 1 if kind == "conv1x1" else 3
    groups = width if kind == "depthwise" else 1
    layer = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups, bias=False).eval()
    return layer, torch.randn(1, width, space, space)


def _network(name: str, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model = resolve_model(name).eval()
    inputs = example_inputs(name)
    network = trace(model, inputs)
    curves = error_curves(model, network, None)
    built, rows = {}, []
    for rule in RULES:
        plan, row = _plan(network, curves, rule, "macs<=50%")
        if plan is not None and plan.kept is not None:
            built[row["rule"]] = remove(model, network, plan.kept).eval()
        rows.append(row)
    dense: dict[Any, nn.Module] = {"dense": model}
    times = _times({key: lambda small=small: small(*inputs) for key, small in (dense | built).items()}, rounds, "1")
    return {
        "network": name,
        "dense": times["dense"],
        "rows": [{**row, **times.get(row["rule"], {})} for row in rows],
    }


def _plan(
    network: Network, curves: list[Curve], rule: tuple[int, int], limit: str
) -> tuple[Plan | None, dict[str, Any]]:
    """The closed-form plan for a rule (multiple, least width that it is for) and its facts; None: no such plan."""
    multiple, start = rule
    name = f"{multiple}" if start == 1 else f"{multiple} from {start}"
    free, rounded = (WidthRules(round_to=each).ladders(network) for each in (1, multiple))
    chosen = [
        many if group.size * channels_per_unit(group) >= start else each
        for group, each, many in zip(network.groups, free, rounded, strict=True)
    ]
    dense = network.cost.measure(network.widths)
    projection = Projection(network, Budget.of(limit, dense), tuple(chosen))
    if not projection.holds(projection.narrowest):
        return None, {"rule": name}
    widths = Allocation.build(projection, curves).widths()
    return Plan.of_widths(network, widths, [curve.order for curve in curves]), {
        "rule": name,
        "macs": network.cost.measure(widths).macs / dense.macs,
        "error": float(sum(curve.error[width - 1] for curve, width in zip(curves, widths, strict=True))),
    }


def _accuracy(folder: str, weights: str) -> dict[str, Any]:
    """Reward and test accuracy of ResNet-20 for each multiple and limit; one calibration for all of them."""
    name = "cifar-resnet20"
    spec = input_spec(name)
    model = resolve_model(name)
    load_weights(model, weights)
    model.eval()
    splits = load_data(folder, image_size=(spec.shape[2], spec.shape[3]), mean=spec.mean, std=spec.std)
    judge, read_test = evaluator(splits.reward, precision="bfloat16"), evaluator(splits.test, precision="bfloat16")
    network = trace(model, example_inputs(spec))
    record = calibrate(model, batched(splits.calibration, 125))
    curves = error_curves(model, network, record)
    candidates = Scorer(model, network, judge, [curve.order for curve in curves], record, "ls")
    rows = []
    print(f"\n| {'ResNet-20':10} | rule | MACs | error of the curves | reward | test |", flush=True)
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for limit in LIMITS:
        for rule in RULES:
            plan, row = _plan(network, curves, rule, limit)
            if plan is None:
                print(f"| {limit:10} | {row['rule']} | no such plan | | | |", flush=True)
                continue
            small = candidates.build(plan)
            row |= {"limit": limit, "reward": 100 * judge(small), "test": 100 * read_test(small)}
            rows.append(row)
            print(
                f"| {limit:10} | {row['rule']} | {row['macs']:.4f} | {row['error']:.4f} | {row['reward']:.2f} "
                f"| {row['test']:.2f} |",
                flush=True,
            )
    return {"network": name, "dense": 100 * read_test(model), "rows": rows}


def _print_layer(found: dict[str, Any]) -> dict[str, Any]:
    rows = found["rows"]
    shares = " ".join(f"{row['width']}:{row['min'] / rows[0]['min']:.2f}/{row['macs']:.2f}" for row in rows)
    print(f"{found['layer']} {found['width']} at {found['space']}: width:time/MACs {shares}", flush=True)
    return found


def _print_multiples(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Time for the MACs, relative to the best width of the layer: median over widths by what they are multiples of."""
    print(f"\n| {'layer':22} | odd | 2 | 4 | 8 | 16 | 32 |  (milliseconds for each MAC, full width = 1)")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    table = []
    for found in layers:
        full = found["rows"][0]
        by: dict[int, list[float]] = {}
        for row in found["rows"]:
            largest = max(n for n in (1, 2, 4, 8, 16, 32) if row["width"] % n == 0)
            by.setdefault(largest, []).append(row["min"] / row["macs"] / full["min"])
        line = {str(n): float(np.median(values)) for n, values in sorted(by.items())}
        table.append({"layer": f"{found['layer']} {found['width']} at {found['space']}", **line})
        cells = " | ".join(f"{line[str(n)]:.2f}" if str(n) in line else "" for n in (1, 2, 4, 8, 16, 32))
        print(f"| {table[-1]['layer']:22} | {cells} |", flush=True)
    return table


def _print_network(found: dict[str, Any]) -> dict[str, Any]:
    print(f"\n| {found['network']:26} | MACs | error of the curves | ms, least | lower quartile | of rule 1 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(f"| dense | 1 | 0 | {found['dense']['min']:.2f} | {found['dense']['quartile']:.2f} | |")
    for row in found["rows"]:
        if "min" not in row:
            print(f"| {row['rule']} | no such plan | | | | |", flush=True)
            continue
        print(
            f"| {row['rule']} | {row['macs']:.3f} | {row['error']:.4f} | {row['min']:.2f} | {row['quartile']:.2f} "
            f"| {row['paired']:.3f} |",
            flush=True,
        )
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="folder with train and test archives of class folders")
    parser.add_argument("--weights", default="", help="safetensors of ResNet-20")
    parser.add_argument("--parts", default="layers,networks,accuracy")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--name", default="rounding", help="name of the result file")
    parser.add_argument("--case", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
