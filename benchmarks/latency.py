"""Limits in latency: what networks of `latency<=60%` really take, beside half of the MACs with and without rounding.

    python benchmarks/latency.py [--limit "latency<=60%"] [--rounds 40] [--threads 1]

ResNet-18 and MobileNetV2 of torchvision at 1x3x224x224, random weights: time does not depend on them. Widths are chosen
by the closed form on random images, then all networks of one model are timed in turns: medians, and the share of the
dense network's median. Writes results/latency.json.
"""

import argparse
from time import perf_counter
from typing import Any

import machine
import numpy as np
import torch

from gnnrl.latency.agreement import agree
from gnnrl.latency.measurement import measure_latency, time_plans
from gnnrl.network.labels import Component
from gnnrl.network.limits import as_constraints
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from gnnrl.zoo.models import example_inputs, resolve_model

NETWORKS = ("torchvision:resnet18", "torchvision:mobilenet_v2")
IMAGES = 32


def main() -> None:
    """Measure all networks, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", default="latency<=60%")
    parser.add_argument("--rounds", type=int, default=40, help="turns of the final measurement")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=NETWORKS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    names = [options.only] if options.only else NETWORKS
    found = {name: measured(name, options.limit, options.rounds) for name in names}
    print(table(found))
    if not options.only:
        machine.write("latency", {**machine.describe(), "limit": options.limit, "networks": found})


def measured(name: str, limit: str, rounds: int) -> dict[str, Any]:
    """Time one network dense, within the limit on latency, and at half of its MACs."""
    model, inputs = resolve_model(name).eval(), example_inputs(name)
    network = trace(model, inputs)
    start = perf_counter()
    timed = measure_latency(model, network, inputs)
    layers_seconds = perf_counter() - start
    images = torch.randn(IMAGES, *inputs[0].shape[1:])
    curves = error_curves(model, network, calibrate(model, [images], images=IMAGES))
    orders = [curve.order for curve in curves]

    def closed_form(projection: Projection) -> Component:
        return Allocation.build(projection, curves).widths()

    def milliseconds(widths: Component) -> tuple[float, float]:
        dense, pruned = 1e3 * time_plans(model, network, inputs, np.stack([network.widths, widths]), orders=orders)
        return float(dense), float(pruned)

    (constraint,) = as_constraints(limit)
    start = perf_counter()
    agreed = agree(Projection.build(timed, limit), closed_form, milliseconds, relative=constraint.relative)
    plans = {
        "dense": network.widths,
        limit: agreed.widths,
        "macs<=50%": closed_form(Projection.build(network, "macs<=50%")),
        "macs<=50%, any width": closed_form(Projection.build(network, "macs<=50%", WidthRules(round_to=1))),
    }
    seconds = {"layers": round(layers_seconds, 1), "agreement": round(perf_counter() - start, 1)}
    rows = finally_timed(model, network, inputs, plans, orders, rounds)
    return {"rows": rows, "check": agreed.check.facts(), "plans_measured": agreed.rounds, "seconds": seconds}


def finally_timed(
    model: torch.nn.Module, network: Network, inputs: Any, plans: dict[str, Component], orders: Any, rounds: int
) -> dict[str, dict[str, float]]:
    """Time all plans in turns, once more and longer."""
    medians = 1e3 * time_plans(model, network, inputs, np.stack(list(plans.values())), orders=orders, rounds=rounds)
    dense = network.cost.measure(network.widths)
    return {
        name: {
            "ms": round(float(median), 3),
            "share": round(float(median / medians[0]), 4),
            "macs": round(network.cost.measure(widths).macs / dense.macs, 4),
            "params": round(network.cost.measure(widths).params / dense.params, 4),
        }
        for (name, widths), median in zip(plans.items(), medians, strict=True)
    }


def table(found: dict[str, Any]) -> str:
    """All networks as Markdown."""
    lines = [
        "| network | plan | ms, median | of dense | MACs | parameters |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, result in found.items():
        for plan, row in result["rows"].items():
            shares = " | ".join(f"{row[key]:.1%}" for key in ("share", "macs", "params"))
            lines.append(f"| {name} | `{plan}` | {row['ms']:.2f} | {shares} |")
    for name, result in found.items():
        check, seconds = result["check"], result["seconds"]
        lines.append(
            f"\n{name}: layers timed in {seconds['layers']} s, {result['plans_measured']} plans in "
            f"{seconds['agreement']} s; the last model was off by {check['error']:+.1%}."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
