"""Which reward tells best, before fine-tuning, how good a plan is after it: rank correlation over plans of one network.

    python benchmarks/reward.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors
    python benchmarks/reward.py --report

24 plans at the limit lie around the closed form, nearer and further: wishes with standard deviations from 0 to 3, and
keep ratios drawn around uniform. Each is judged raw, with BatchNorm recalibrated, with least squares for every layer's
own outputs, and with gnnrl's repair (`ls`, on the residual stream); each time by top-1, minus the cross-entropy and
minus the Kullback-Leibler divergence from the dense network as `--metric kl` measures it, on the reward images and on
the first 1,000 of them, in bfloat16 and in float32. The network repaired by `ls` is then fine-tuned for `--epochs`
epochs on `--images` training images; the test images are read before and after. The tables print Kendall's tau between
each reward and these accuracies, and between bfloat16 and float32, and seconds.

Each plan is written when it is done; see benchmarks/search.py for how to go on and to share the work.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ledger import Row, read, unmeasured
from scipy.stats import kendalltau
from subject import Prepared, Subject, announce, parser, printed
from torch import Tensor, nn

from gnnrl.compression.study import Study
from gnnrl.network.labels import Component
from gnnrl.network.surgery import remove
from gnnrl.pruning.reconstruction import Repair, repair
from gnnrl.searchers.wishes import plan_of
from gnnrl.training import TEMPERATURE, finetune, softened_divergence
from gnnrl.zoo.batches import batched, placed

REPAIRS: dict[str, Repair | None] = {
    "raw": None,
    "bn": Repair(least_squares=False),
    "ls, own outputs": Repair(stream=False),
    "ls": Repair(),
}
PRECISIONS = ("bfloat16", "float32")
METRICS = ("top1", "loss", "kl", "top1 of 1,000", "kl of 1,000")
FEW = 1000
SPREADS = (0.25, 0.5, 1.0, 2.0, 3.0)
UNIFORM_EVERY = 6


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge and train what is missing, and print the tables; or print those of all files."""
    options = _options(arguments)
    if printed(options, "reward", report):
        return
    subject = Subject.load(options)
    ledger = subject.ledger("reward", {"epochs": options.epochs, "images": options.images})
    announce(ledger)
    prepared = subject.prepared()
    keys = [f"plan {number}" for number in range(options.plans)]
    ledger.plan(keys)
    dense = {
        precision: logits(subject.model, subject.splits.reward, precision == "bfloat16") for precision in PRECISIONS
    }
    for key in ledger.claim(keys):
        row = measure(subject, prepared, plan(prepared, keys.index(key)), dense)
        ledger.keep(key, row)
        print(f"  {key}: {_told(row)}", flush=True)
    report(ledger.path)


def plan(prepared: Prepared, number: int) -> Component:
    """Widths of a plan; number 0 is the closed form, every sixth one has nothing to do with it."""
    rng = np.random.default_rng(number)
    task = prepared.task()
    groups = len(task.network.groups)
    if number % UNIFORM_EVERY == UNIFORM_EVERY - 1:
        return task.projection.of_logits(rng.normal(0.0, 1.0, groups))
    spread = SPREADS[number % UNIFORM_EVERY] if number else 0.0
    return plan_of(task, spread * rng.standard_normal(groups))


def measure(subject: Subject, prepared: Prepared, widths: Component, dense: Mapping[str, tuple[Tensor, Tensor]]) -> Row:
    """Every reward of a plan, and its test accuracy after fine-tuning."""
    options, rewards = subject.options, dict[str, Any]()
    for name, settings in REPAIRS.items():
        start = perf_counter()
        small = repaired(prepared.study, widths, settings)
        rewards[name] = {"repair_seconds": perf_counter() - start}
        for precision, (expected, labels) in dense.items():
            start = perf_counter()
            found, _ = logits(small, subject.splits.reward, precision == "bfloat16")
            seconds = perf_counter() - start
            rewards[name][precision] = scores(found, expected, labels) | {"seconds": seconds}
    before = subject.read_test(small)
    start = perf_counter()
    images, labels = subject.splits.train.batch(torch.arange(min(options.images, len(subject.splits.train))))
    finetune(
        small,
        torch.utils.data.TensorDataset(images, labels),
        epochs=options.epochs,
        augment="crop" if options.quick else "flip-crop",
        precision="bfloat16",
    )
    return {
        "arm": "plan",
        "widths": [int(width) for width in widths],
        "rewards": rewards,
        "before": before,
        "after": subject.read_test(small),
        "finetune_seconds": perf_counter() - start,
    }


def repaired(study: Study, widths: Component, settings: Repair | None) -> nn.Module:
    """Really prune, and repair."""
    kept = study.scorer().plan(widths).kept
    assert kept is not None
    small = remove(study.model, study.network, kept)
    if settings is not None:
        assert study.evidence.record is not None
        repair(small, study.network, kept, study.evidence.record, settings)
    return small


@torch.no_grad()
def logits(model: nn.Module, data: Any, bfloat16: bool) -> tuple[Tensor, Tensor]:
    """Logits, float32 [N, classes], and labels [N] of all images."""
    found, labels = list[Tensor](), list[Tensor]()
    for (images, *_), wanted in (placed(batch, "cpu") for batch in batched(data, 250)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            found.append(model.eval()(images).float())
        labels.append(wanted)
    return torch.cat(found), torch.cat(labels)


def scores(found: Tensor, dense: Tensor, labels: Tensor) -> dict[str, float]:
    """Each reward of logits [N, classes], higher is better, beside those of the dense network."""
    divergence = softened_divergence(found, dense, TEMPERATURE, "none").sum(1)
    right = (found.argmax(1) == labels).float()
    return {
        "top1": float(right.mean()),
        "loss": -float(F.cross_entropy(found, labels)),
        "kl": -float(divergence.mean()),
        "top1 of 1,000": float(right[:FEW].mean()),
        "kl of 1,000": -float(divergence[:FEW].mean()),
    }


def _told(row: Row) -> str:
    found = ", ".join(f"{name} {row['rewards'][name]['bfloat16']['top1']:.2%}" for name in REPAIRS)
    return f"{found}; fine-tuned {row['after']:.2%}, {row['finetune_seconds']:.0f} s"


def report(path: Path) -> None:
    """Print the tables of a file and what is missing in it."""
    document = read(path)
    settings, rows = document["settings"], list(document["rows"].values())
    print(f"\n### {path.stem} ({settings['model']}, {settings['constraint']})")
    for name in ("before", "after") if len(rows) > 1 else ():
        test = [row[name] for row in rows]
        print(f"\n{len(rows)} plans, test {name} fine-tuning from {100 * min(test):.2f} to {100 * max(test):.2f}.\n")
        print("\n".join(_correlations(rows, test)))
    if len(rows) > 1:
        print("\n" + "\n".join(_precisions(rows)))
    print(f"\n{unmeasured(document)}", flush=True)


def _correlations(rows: Sequence[Row], test: Sequence[float]) -> list[str]:
    lines = [f"| Kendall's tau, bfloat16 | {' | '.join(METRICS)} |", "| --- |" + " ---: |" * len(METRICS)]
    for name in REPAIRS:
        found = [row["rewards"][name] for row in rows]
        lines.append(f"| {name} | {' | '.join(_tau(_column(found, 'bfloat16', metric), test) for metric in METRICS)} |")
    return lines


def _precisions(rows: Sequence[Row]) -> list[str]:
    head = f"| tau of bfloat16 and float32 | {' | '.join(METRICS)} | repair, s | reward, s: bfloat16 | float32 |"
    lines = [head, "| --- |" + " ---: |" * (len(METRICS) + 3)]
    for name in REPAIRS:
        found = [row["rewards"][name] for row in rows]
        cells = [_tau(*(_column(found, precision, metric) for precision in PRECISIONS)) for metric in METRICS]
        cells.append(f"{median(entry['repair_seconds'] for entry in found):.2f}")
        cells += [f"{median(_column(found, precision, 'seconds')):.2f}" for precision in PRECISIONS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _column(found: Sequence[Row], precision: str, name: str) -> list[float]:
    return [entry[precision][name] for entry in found]


def _tau(first: Sequence[float], second: Sequence[float]) -> str:
    return f"{kendalltau(first, second).statistic:.2f}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--plans", type=int, default=24)
    found.add_argument("--epochs", type=int, default=1, help="of fine-tuning each plan")
    found.add_argument("--images", type=int, default=10_000, help="of the training split for it")
    found.add_argument("--report", action="store_true", help="measure nothing: the tables of all files")
    options = found.parse_args(arguments)
    if options.quick:
        options.plans, options.images = 3, 250
    return options


if __name__ == "__main__":
    main()
