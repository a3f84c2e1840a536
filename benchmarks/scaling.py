"""How far executors scale: sleeping evaluations by threads, processes and a Ray cluster of two nodes, and real ones.

A sleeping evaluation needs no processor, so that what is measured is the scheduling: how much longer a batch takes than
it would if handing out plans and taking answers cost nothing. Threads stand for workers without the costs of processes,
and allow for 64 of them on a small machine; processes and Ray are measured up to --processes workers.

    python benchmarks/scaling.py            prints tables, writes benchmarks/results/scaling.json and docs/scaling.md
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe
from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.executors.process import ProcessExecutor
from gnnrl.executors.ray_cluster import RayExecutor
from gnnrl.executors.scheduling import Patience, WorkerExecutor
from gnnrl.executors.serial import SerialExecutor
from gnnrl.network.tracing.tracer import trace
from gnnrl.scoring.plans import Executor, Scored, Scorer, Seconds, Widths
from gnnrl.zoo.networks import digits_resnet

ROOT = Path(__file__).parents[1]
WORKERS = (1, 2, 4, 8, 16, 64)
SIZES = ((0.1, 16), (1.0, 4), (10.0, 2))
"""Seconds of an evaluation, and how many of them each worker gets."""
EMPTY = 300
MACHINES, PER_MACHINE = 100, 16
REAL, BATCHES = 24, 4


@dataclass(frozen=True)
class Sleeping:
    """A judge that sleeps as many milliseconds as the first number of a plan says."""

    def __call__(self, widths: Widths) -> Scored:
        """Sleep."""
        time.sleep(widths[0] / 1e3)
        return Scored(0.0, 0, widths[0] / 1e3, Seconds())


class SleepingThread(ThreadPoolExecutor):
    """A thread that sleeps instead of judging; see `gnnrl.executors.scheduling.Worker`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Sleep."""
        return super().submit(Sleeping(), *arguments)

    def end(self, error: BaseException | None = None) -> str:
        """End after the task in hand."""
        self.shutdown(wait=False)
        return "it was ended"


def started_thread() -> tuple[SleepingThread, Future[str | None]]:
    """Start a thread, which has no judge to load."""
    loaded: Future[str | None] = Future()
    loaded.set_result(None)
    return SleepingThread(1), loaded


class ThreadExecutor(WorkerExecutor):
    """Threads under the scheduler that processes and actors have."""

    def __init__(self, workers: int) -> None:
        super().__init__(Patience(straggler=None))
        self._workers = workers

    def start(self, scorer: Scorer) -> None:
        """Take any judge: none is needed."""
        self.employ(started_thread, self._workers)


def seconds_of(executor: Executor, plans: Sequence[Widths]) -> float:
    """Wall time of a batch."""
    start = time.perf_counter()
    for _ in executor.map(plans):
        pass
    return time.perf_counter() - start


def measure(executor: Executor, workers: int) -> dict[str, Any]:
    """Wall times of batches of each size, once all workers have begun, and the cost of an evaluation of nothing."""
    start = time.perf_counter()
    while seconds_of(executor, [(500, number) for number in range(workers)]) > 0.9:
        pass
    found: dict[str, Any] = {"workers": workers, "start": time.perf_counter() - start, "sizes": {}}
    for size, each in SIZES:
        plans = [(round(1e3 * size), number) for number in range(each * workers)]
        taken = seconds_of(executor, plans)
        found["sizes"][str(size)] = {"seconds": taken, "speed_up": size * len(plans) / taken}
    found["overhead"] = seconds_of(executor, [(0, number) for number in range(EMPTY)]) / EMPTY
    return found


@contextmanager
def two_nodes(processors: int) -> Iterator[str]:
    """A Ray cluster of two nodes on this machine, with so many logical processors together."""
    from ray.cluster_utils import Cluster

    half = math.ceil(processors / 2)
    settings = {"num_cpus": half, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=settings)
    try:
        cluster.add_node(num_cpus=half, object_store_memory=100 * 2**20)
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def sleeping(most: int, *, with_ray: bool) -> dict[str, list[dict[str, Any]]]:
    """Measure every kind of worker."""
    found: dict[str, list[dict[str, Any]]] = {"threads": [], "processes": [], "ray": []}
    for workers in WORKERS:
        found["threads"].append(measured("threads", ThreadExecutor(workers), workers))
    few = [workers for workers in WORKERS if workers <= most]
    for workers in few:
        found["processes"].append(measured("processes", ProcessExecutor(workers, straggler=None), workers))
    if with_ray:
        with two_nodes(max(few)) as address:
            for workers in few:
                executor = RayExecutor(workers, address=address, straggler=None)
                found["ray"].append(measured("ray, two nodes", executor, workers))
    return found


def measured(kind: str, executor: Any, workers: int) -> dict[str, Any]:
    """Measure one executor, and tell."""
    executor.start(Sleeping())
    try:
        found = measure(executor, workers)
    finally:
        executor.close()
    speeds = ", ".join(f"{size} s: {row['speed_up']:.2f}x" for size, row in found["sizes"].items())
    print(f"{kind}, {workers} workers: {speeds}; {1e3 * found['overhead']:.2f} ms each", flush=True)
    return found


def weigh(model: nn.Module) -> float:
    """A real evaluation: forward passes on one thread."""
    inputs = torch.ones(250, 1, 8, 8)
    with torch.no_grad():
        return sum(float(model(inputs).std()) for _ in range(12))


def real() -> dict[str, float]:
    """Seconds of the same real evaluations by this process, and by two: the fastest batch, when all have begun."""
    torch.set_num_threads(1)
    model = digits_resnet().eval()
    network = trace(model, torch.ones(2, 1, 8, 8))
    scorer = Scorer(model, network, weigh, [np.arange(size) for size in network.widths], repair="none")
    plans = [tuple(max(width - number % 8, 1) for width in network.widths.tolist()) for number in range(REAL)]
    found = {}
    for name, executor in (("serial", SerialExecutor()), ("two processes", ProcessExecutor(2, straggler=None))):
        executor.start(scorer)
        found[name] = min(seconds_of(executor, plans) for _ in range(BATCHES))
        executor.close()
        print(f"real evaluations, {name}: {found[name]:.2f} s", flush=True)
    return found


def tables(facts: dict[str, Any]) -> str:
    """The measured part of the page."""
    lines = [
        "| workers | kind | 0.1 s | 1 s | 10 s | ms each | start, s |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, rows in facts["sleeping"].items():
        for row in rows:
            speeds = " | ".join(f"{row['sizes'][str(size)]['speed_up']:.2f}" for size, _ in SIZES)
            lines.append(f"| {row['workers']} | {kind} | {speeds} | {1e3 * row['overhead']:.2f} | {row['start']:.1f} |")
    return "\n".join(lines)


def page(facts: dict[str, Any]) -> str:
    """docs/scaling.md."""
    kinds = {kind: rows for kind, rows in facts["sleeping"].items() if rows and kind != "threads"}
    costs = {kind: max(row["overhead"] for row in rows) for kind, rows in kinds.items()}
    cost = max(costs.values())
    workers = MACHINES * PER_MACHINE
    derived = "\n".join(
        f"| {size:g} s | {min(workers, size / cost):,.0f} | {1 / max(cost, size / workers):,.0f} |" for size, _ in SIZES
    )
    real = facts["real"]
    return f"""# How far evaluations scale

Printed by `python benchmarks/scaling.py` on {facts["machine"]["processor"]}, {facts["machine"]["cores"]} cores, load
average {facts["load"]:.1f} (other work ran beside it where that is more than 1), {facts["date"]}.

## Measured: sleeping evaluations

How many times faster than one by one, without any overhead, a batch was judged; an evaluation sleeps for 0.1, 1 or 10 s
and needs no processor. `ms each` is what an evaluation of nothing costs, `start` how long it took until all workers had
begun, paid once a search. Threads stand for workers without the costs of processes: they measure the scheduler. The Ray
cluster has two nodes on this machine.

{tables(facts)}

## Measured: real evaluations

{REAL} evaluations of the digits network, one thread each, the fastest of {BATCHES} batches: {real["serial"]:.1f} s in
one process,
{real["two processes"]:.1f} s in two, {real["serial"] / real["two processes"]:.2f} times as fast. Where other
work takes the processors this says little; `--only-real` measures it again.

## Derived: a cluster of {MACHINES} machines

Not measured. The driver hands out plans one after another, at {1e3 * cost:.2f} ms each (the dearest of the table).
With {PER_MACHINE} workers on each of {MACHINES} machines, {workers:,} in all, and a searcher that asks for as many
plans at once:

| evaluation | workers kept busy | evaluations a second |
| --- | ---: | ---: |
{derived}

Who searches limits it first. `random` and `random-prior` ask for up to 256 plans at once, `cma` for a generation,
`ppo` for `n_steps` episodes (10) with what makes up for known ones and the policy's mode, `greedy` for the proposals of
a step; `evolution` and `tpe` only for their first plans, `annealing`, `ddpg` and `amc` for one. More workers than that
stand idle.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4, help="most processes and actors")
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--only-real", action="store_true", help="keep what was measured of sleeping evaluations")
    settings = parser.parse_args(arguments)
    results = ROOT / "benchmarks" / "results" / "scaling.json"
    try:
        kinds = (
            json.loads(results.read_text())["sleeping"]
            if settings.only_real
            else sleeping(settings.processes, with_ray=not settings.no_ray)
        )
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    facts = {
        "machine": describe(),
        "date": time.strftime("%Y-%m-%d"),
        "sleeping": kinds,
        "real": real(),
        "load": os.getloadavg()[0],
    }
    results.write_text(json.dumps(facts, indent=1) + "\n")
    (ROOT / "docs" / "scaling.md").write_text(page(facts))
    print(page(facts))


if __name__ == "__main__":
    main()
