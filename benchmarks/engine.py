"""How fast the engine is, beside Torch-Pruning's: groups and sizes, a full pruning, a size query, depth, tracing.

    python benchmarks/engine.py [--only resnet50,...] [--repeats 5]

Both tools run in this process on one thread, in turn, on the same network; figures are medians of CPU milliseconds,
wall time in brackets. The tables are

groups: from the exported program to groups and size, beside Torch-Pruning's dependency graph, one enumeration of its
    groups and its counter of operations. The export, which Torch-Pruning replaces by running the network, is in the
    table of tracing.
pruning: half of the channels of every group chosen by l2 and removed, without repair, beside a step of
    Torch-Pruning's pruner to the same ratio, with and without building it.
query: one size at given widths, and a thousand at once.
depth: the parts of a trace for three depths of the CIFAR ResNet, and of one removal.
tracing: `trace` as a whole beside `torch.export` alone.
"""

import argparse
import copy
import gc
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter, process_time
from typing import Any

import machine
import numpy as np
import torch
from torch import Tensor, nn

from gnnrl.network.cost import measure
from gnnrl.network.labelling.program import Labelling
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.rehearsal import Rehearsal
from gnnrl.network.tracing.stated_sizes import try_out
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import Plan, removal_orders
from gnnrl.zoo.networks import cifar_resnet

MODELS = ("resnet50", "densenet121", "mobilenet_v2", "convnext_tiny", "regnet_y_400mf")
ATTENTION = ("vit_b_16", "swin_t", "timm:levit_128s")
DEPTHS = (20, 110, 1202)
QUERIES = 1000
Time = tuple[float, float]


def build(name: str) -> tuple[nn.Module, Tensor]:
    """A network with random weights in evaluation mode, and one input."""
    torch.manual_seed(0)
    if name.startswith("cifar_resnet"):
        return cifar_resnet(int(name.removeprefix("cifar_resnet"))).eval(), torch.randn(1, 3, 32, 32)
    if name.startswith("timm:"):
        import timm

        return timm.create_model(name.removeprefix("timm:")).eval(), torch.randn(1, 3, 224, 224)
    from torchvision.models import get_model

    return get_model(name, weights=None).eval(), torch.randn(1, 3, 224, 224)


def timed(function: Callable[[], Any]) -> tuple[Time, Any]:
    """CPU and wall time of one call in milliseconds, and its result, without garbage collection as in `timeit`."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = perf_counter(), process_time()
        result = function()
        return ((process_time() - cpu) * 1e3, (perf_counter() - wall) * 1e3), result
    finally:
        gc.enable()


def middle(times: Sequence[Time]) -> Time:
    """Median CPU and median wall time."""
    return median(cpu for cpu, _ in times), median(wall for _, wall in times)


def in_turn(tasks: dict[str, Callable[[], Callable[[], Any]]], repeats: int) -> dict[str, Time]:
    """Median times of several tasks that are run in turn; each is set up anew, outside the time."""
    times: dict[str, list[Time]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, set_up in tasks.items():
            times[name].append(timed(set_up())[0])
    return {name: middle(found) for name, found in times.items()}


def export(model: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """The program of a network, as `trace` exports it."""
    with torch.no_grad():
        return torch.export.export(model, (x,), strict=False)


def groups_and_size(model: nn.Module, program: torch.export.ExportedProgram) -> Network:
    """Groups of an exported network, and its size."""
    network = Labelling(model, program, 1).network()
    measure(network)
    return network


def halve(model: nn.Module, network: Network) -> nn.Module:
    """Keep the half of each group that has the largest l2 norms."""
    orders = removal_orders(importance("l2", model, network))
    plan = Plan.of_widths(network, (network.widths + 1) // 2, orders)
    return remove(model, network, plan.kept or ())


def peer_groups_and_size(model: nn.Module, x: Tensor) -> None:
    """Torch-Pruning's dependency graph, its groups and its counted size."""
    import torch_pruning

    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=x)
    list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
    torch_pruning.utils.count_ops_and_params(model, x)


def peer_pruner(model: nn.Module, x: Tensor) -> Any:
    """Torch-Pruning's pruner for half of the channels of every group by l2; the classifier stays."""
    import torch_pruning

    last = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 1000]
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    return torch_pruning.pruner.BasePruner(model, x, importance=importance, pruning_ratio=0.5, ignored_layers=last)


def compare(name: str, repeats: int) -> dict[str, Time]:
    """Times of both tools on one network."""
    model, x = build(name)
    program = export(model, x)
    network = groups_and_size(model, program)

    def fresh_pruner() -> Callable[[], Any]:
        return partial(peer_pruner, copy.deepcopy(model), x)

    found = in_turn(
        {
            "groups": lambda: partial(groups_and_size, model, program),
            "peer_groups": lambda: partial(peer_groups_and_size, model, x),
            "pruning": lambda: partial(halve, model, network),
            "peer_step": lambda: fresh_pruner()().step,
            "peer_build": fresh_pruner,
        },
        repeats,
    )
    return {**found, **query(network, repeats)}


def query(network: Network, repeats: int) -> dict[str, Time]:
    """Times of a size query, one by one and many at once."""
    rng = np.random.default_rng(0)
    many = rng.integers(1, network.widths + 1, (QUERIES, len(network.groups)))

    def one_by_one() -> None:
        for widths in many:
            network.cost.measure(widths)

    def at_once() -> None:
        for metric in ("macs", "params", "bytes"):
            network.cost.metric(metric, many)

    found = in_turn({"query": lambda: one_by_one, "query_1000": lambda: at_once}, repeats)
    cpu, wall = found["query"]
    return {**found, "query": (cpu / QUERIES, wall / QUERIES)}


def dissect(name: str, repeats: int) -> dict[str, Time]:
    """Times of the parts of a trace and of one removal."""
    times: dict[str, list[Time]] = {}

    def part(step: str, function: Callable[[], Any]) -> Any:
        time, result = timed(function)
        times.setdefault(step, []).append(time)
        return result

    model, x = build(name)
    for _ in range(repeats):
        with torch.no_grad():
            rehearsal = part("forward", partial(Rehearsal, model, (x,), {}))
            program = part("export", partial(export, rehearsal.dense, x))
            labelling = part("labelling", partial(Labelling, model, program, 1))
            network = part("groups", labelling.network)
            part("trial", partial(try_out, rehearsal, network))
        part("surgery", partial(halve, model, network))
        part("trace", partial(trace, model, x))
    return {step: middle(found) for step, found in times.items()}


def table(title: str, columns: Sequence[str], rows: dict[str, Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n| {title} | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def shown(time: Time, digits: int = 0) -> str:
    """CPU milliseconds, wall time in brackets."""
    return f"{time[0]:,.{digits}f} ({time[1]:,.{digits}f})"


def print_comparison(found: dict[str, dict[str, Time]]) -> None:
    """Print the tables of groups, of pruning and of queries."""
    rows = {}
    for name, f in found.items():
        ratio = f["peer_groups"][0] / f["groups"][0]
        rows[name] = [shown(f["groups"]), shown(f["peer_groups"]), f"{ratio:.1f}x"]
    table("groups and size, ms CPU (wall)", ["gnnrl", "Torch-Pruning", "faster"], rows)
    rows = {}
    for name, f in found.items():
        step, whole = f["peer_step"][0], f["peer_step"][0] + f["peer_build"][0]
        times = [shown(f["pruning"]), shown(f["peer_step"]), shown(f["peer_build"])]
        rows[name] = [*times, f"{step / f['pruning'][0]:.1f}x", f"{whole / f['pruning'][0]:.1f}x"]
    columns = ["gnnrl", "Torch-Pruning's step", "its build", "faster than the step", "than both"]
    table("one pruning, ms CPU (wall)", columns, rows)
    table(
        "size query, CPU",
        ["one, µs", "1000 at once, µs each"],
        {name: [f"{f['query'][0] * 1e3:.1f}", f"{f['query_1000'][0]:.2f}"] for name, f in found.items()},
    )


def print_parts(title: str, found: dict[str, dict[str, Time]]) -> None:
    """Print a table of the parts of tracing."""
    steps = ["forward", "export", "labelling", "groups", "trial", "surgery", "trace"]
    rows = {
        name: [*(shown(f[step]) for step in steps), f"{f['trace'][0] / f['export'][0]:.2f}"]
        for name, f in found.items()
    }
    table(title, [*steps, "trace / export"], rows)


def summary(found: dict[str, dict[str, Time]], traced: dict[str, dict[str, Time]]) -> dict[str, float]:
    """The medians that the goals are about."""
    return {
        "groups_faster": median(f["peer_groups"][0] / f["groups"][0] for f in found.values()),
        "pruning_faster_than_step": median(f["peer_step"][0] / f["pruning"][0] for f in found.values()),
        "pruning_faster_than_build_and_step": median(
            (f["peer_build"][0] + f["peer_step"][0]) / f["pruning"][0] for f in found.values()
        ),
        "query_us": median(f["query"][0] * 1e3 for f in found.values()),
        "trace_to_export": median(f["trace"][0] / f["export"][0] for f in traced.values()),
    }


def main() -> None:
    """Measure, print the tables and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of networks, joined by commas; nothing is written")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cifar = [f"cifar_resnet{depth}" for depth in DEPTHS]
    wanted = options.only.split(",") if options.only else [*MODELS, *ATTENTION, *cifar]
    found = {name: compare(name, options.repeats) for name in MODELS if name in wanted}
    if found:
        print_comparison(found)
    traced = {name: dissect(name, options.repeats) for name in (*MODELS, *ATTENTION) if name in wanted}
    if traced:
        print_parts("tracing, ms CPU (wall)", traced)
    depth = {name: dissect(name, min(options.repeats, 3)) for name in cifar if name in wanted}
    if depth:
        print_parts("depth, ms CPU (wall)", depth)
    if options.only:
        return
    medians = summary(found, traced)
    print("\n" + ", ".join(f"{name} {value:.2f}" for name, value in medians.items()))
    document = {"repeats": options.repeats, "medians": medians, "compared": found, "traced": traced, "depth": depth}
    machine.write("engine", {**machine.describe(), **document})


if __name__ == "__main__":
    main()
