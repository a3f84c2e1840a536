"""What distillation, an average of the weights, smooth labels or a lower rate give a pruned network in fine-tuning.

    python benchmarks/recipes.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors
    python benchmarks/recipes.py --report

The plan is the closed form's, repaired; the recipe is that of benchmarks/finetune.py, with one thing changed at a time.
"Held out" is top-1 on the reward images, by which a recipe may be chosen: `finetune.py --recipe`. The test images are
read once after each training. Each row is written when it ends; see benchmarks/search.py for how to go on and to share
the work.
"""

import argparse
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from ledger import Row, read, unmeasured
from subject import Subject, announce, parser, printed
from torch import nn

from gnnrl.training import FinetuneResult, finetune

PLAIN = "plain"
RECIPES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "distillation 0.5": {"distill": 0.5},
    "distillation 0.9": {"distill": 0.9},
    "ema 0.99": {"ema": 0.99},
    "distillation 0.9, ema 0.99": {"distill": 0.9, "ema": 0.99},
    "rate 0.01": {"learning_rate": 0.01},
    "rate 0.01, distillation 0.9": {"learning_rate": 0.01, "distill": 0.9},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing and print the table; or print those of all files."""
    options = _options(arguments)
    if printed(options, "recipes", report):
        return
    subject = Subject.load(options)
    ledger = subject.ledger("recipes", {"epochs": options.epochs, "learning_rate": options.learning_rate})
    announce(ledger)
    planned = {f"{recipe}, seed {seed}": (recipe, seed) for seed in range(options.seeds) for recipe in RECIPES}
    ledger.plan(planned)
    for key in ledger.claim(planned):
        row = measure(subject, *planned[key])
        ledger.keep(key, row)
        print(f"  {key}: {row['before']:.2%} -> {row['after']:.2%}, {row['seconds']:.0f} s", flush=True)
    report(ledger.path)


def measure(subject: Subject, recipe: str, seed: int) -> Row:
    """Prune by the closed form, train, and read the test images before and after."""
    task = subject.prepared().task(1, seed)
    small = task.scorer.build(task.scorer.plan(task.prior(task.projection)))
    before, start = subject.read_test(small), perf_counter()
    train(small, subject, recipe, seed)
    seconds = perf_counter() - start
    held_out, after = subject.reward_top1(small), subject.read_test(small)
    return {"recipe": recipe, "seed": seed, "before": before, "held_out": held_out, "after": after, "seconds": seconds}


def train(small: nn.Module, subject: Subject, recipe: str, seed: int) -> FinetuneResult:
    """Train a pruned network on the training split, by a recipe of the table, at the rate and length of the options."""
    settings = {"learning_rate": subject.options.learning_rate, **RECIPES[recipe]}
    return finetune(
        small,
        subject.splits.train,
        epochs=subject.options.epochs,
        augment="crop" if subject.options.quick else "flip-crop",
        teacher=copy.deepcopy(subject.model) if "distill" in settings else None,
        seed=seed,
        precision="bfloat16",
        **settings,
    )


def report(path: Path) -> None:
    """Print the table of a file and what is missing in it."""
    document = read(path)
    settings, facts = document["settings"], document["facts"]
    print(f"\n### {path.stem} ({settings['model']}, {settings['constraint']}, {settings['epochs']} epochs)")
    print(f"\nDense: test {100 * facts['dense_test']:.2f}.\n")
    print("\n".join(_table(document["rows"])))
    print(f"\n{unmeasured(document)}", flush=True)


def _table(rows: Mapping[str, Row]) -> list[str]:
    lines = ["| recipe | seeds | before | held out | after | all | gives | s |", "| --- |" + " ---: |" * 7]
    found = {recipe: [row for row in rows.values() if row["recipe"] == recipe] for recipe in RECIPES}
    plain = {row["seed"]: row["after"] for row in found[PLAIN]}
    for recipe, trained in found.items():
        if not trained:
            continue
        gains = [row["after"] - plain[row["seed"]] for row in trained if row["seed"] in plain]
        cells = [
            recipe,
            str(len(trained)),
            f"{100 * median(row['before'] for row in trained):.2f}",
            f"{100 * median(row['held_out'] for row in trained):.2f}",
            f"{100 * median(row['after'] for row in trained):.2f}",
            ", ".join(f"{100 * row['after']:.2f}" for row in trained),
            f"{100 * median(gains):+.2f}" if gains and recipe != PLAIN else "",
            f"{median(row['seconds'] for row in trained):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--epochs", type=int, default=3)
    found.add_argument("--learning-rate", type=float, default=0.03)
    found.add_argument("--report", action="store_true", help="measure nothing: the tables of all files")
    found.set_defaults(seeds=2)
    options = found.parse_args(arguments)
    if options.quick:
        options.seeds, options.epochs = 1, 1
    return options


if __name__ == "__main__":
    main()
