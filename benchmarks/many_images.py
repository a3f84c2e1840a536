"""Processor seconds and memory of calibration, weights and repair with many images.

    python benchmarks/many_images.py torchvision:resnet50 1000 [--weigh]
    python benchmarks/many_images.py --report

keeps them in `results/many_images.json`: random weights and random pixels of 224x224, half of each group kept. Memory
is the peak of what the process holds itself (RssAnon), without pages of mapped files, which the system drops when it
needs them. `repair.py` prints the table, too.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, process_time
from typing import Any

import machine
import torch
from torch import Tensor

from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.output_weights import weighted_curves
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.reconstruction import Repair, repair
from gnnrl.pruning.rules import WidthRules
from gnnrl.zoo.models import resolve_model

BATCH = 50
PAUSE = 0.02


class Meter:
    """Measures stages: processor and wall seconds, and the peak of the process's own memory in gigabytes."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._peak, self._ended = 0.0, Event()
        Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what is inside."""
        self._peak, start, wall = own_memory(), process_time(), perf_counter()
        yield
        seconds = {"seconds": round(process_time() - start, 1), "wall": round(perf_counter() - wall, 1)}
        self.stages[name] = {**seconds, "gigabytes": round(self._peak, 2)}
        print(name, self.stages[name], file=sys.stderr, flush=True)

    def _watch(self) -> None:
        while not self._ended.wait(PAUSE):
            self._peak = max(self._peak, own_memory())


def own_memory() -> float:
    """Gigabytes of the process that are no pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


def pixels(images: int) -> Iterator[Tensor]:
    """Batches of random images, made when they are read."""
    for start in range(0, images, BATCH):
        yield torch.randn(min(BATCH, images - start), 3, 224, 224)


def measure(name: str, images: int, *, weigh: bool) -> dict[str, Any]:
    """Stages of a network for a number of images."""
    torch.manual_seed(0)
    model, meter = resolve_model(name).eval(), Meter()
    with meter.stage("trace"):
        network = trace(model, torch.randn(1, 3, 224, 224))
    with meter.stage("calibrate"):
        record = calibrate(model, pixels(images), images=images, moments=weigh)
    if weigh:
        with meter.stage("curves"):
            curves = error_curves(model, network, record)
        with meter.stage("weigh"):
            projection = Projection.build(network, "macs<=50%", WidthRules())
            orders = [curve.order for curve in curves]
            weighted_curves(model, projection, curves, orders, record, Repair())
    kept = [range(max(1, group.size // 2)) for group in network.groups]
    small = remove(model, network, kept)
    with meter.stage("repair"):
        repair(small, network, kept, record)
    return {"images": record.images, "parts": len(record.parts), **meter.stages}


def table(document: dict[str, Any]) -> Iterator[str]:
    """Lines of the table of all rows."""
    yield "| 224x224 | images | parts | calibrate, s | GB | weigh, s | GB | repair, s | GB |"
    yield "| --- |" + " ---: |" * 8
    for name, rows in document.items():
        for row in rows.values():
            stages = [row.get(stage) for stage in ("calibrate", "weigh", "repair")]
            cells = [f"{each['seconds']:.0f} | {each['gigabytes']:.1f}" if each else " | " for each in stages]
            yield f"| {name} | {row['images']:,} | {row['parts']} | {' | '.join(cells)} |"


def main() -> None:
    """Measure one network, or print what is known."""
    path = Path(__file__).parent / "results" / "many_images.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    if "--report" not in sys.argv:
        torch.set_num_threads(1)
        name, images = sys.argv[1:3]
        row = measure(name, int(images), weigh="--weigh" in sys.argv)
        document.setdefault("rows", {}).setdefault(name, {})[images] = row
        machine.write("many_images", {**machine.describe(), "rows": document["rows"]})
    print("\n".join(table(document["rows"])))


if __name__ == "__main__":
    main()
