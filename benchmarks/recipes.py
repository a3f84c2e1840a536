"""What distillation, an average of the weights and label smoothing give a pruned network that is trained further.

    python benchmarks/recipes.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors
    python benchmarks/recipes.py --report

The plan is the closed form's, repaired; the recipe is that of benchmarks/finetune.py, with one thing added at a time.
The test images are read once after each training. Each row is written when it ends; see benchmarks/search.py for how to
go on and to share the work.
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

from gnnrl.training import finetune

RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "distillation 0.5": {"distill": 0.5},
    "distillation 0.9": {"distill": 0.9},
    "ema 0.99": {"ema": 0.99},
    "distillation 0.9, ema 0.99": {"distill": 0.9, "ema": 0.99},
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
    study = subject.prepared().study
    task = study.task(1, seed)
    small = task.evaluator.build(task.evaluator.plan(task.prior(study.projection)))
    settings, before, start = RECIPES[recipe], subject.read_test(small), perf_counter()
    finetune(
        small,
        subject.splits.train,
        epochs=subject.options.epochs,
        learning_rate=subject.options.learning_rate,
        augment="crop" if subject.options.quick else "flip-crop",
        teacher=copy.deepcopy(subject.model) if "distill" in settings else None,
        seed=seed,
        precision="bfloat16",
        **settings,
    )
    seconds = perf_counter() - start
    return {"recipe": recipe, "seed": seed, "before": before, "after": subject.read_test(small), "seconds": seconds}


def report(path: Path) -> None:
    """Print the table of a file and what is missing in it."""
    document = read(path)
    settings, facts = document["settings"], document["facts"]
    print(f"\n### {path.stem} ({settings['model']}, {settings['constraint']}, {settings['epochs']} epochs)")
    print(f"\nDense: test {100 * facts['dense_test']:.2f}.\n")
    print("\n".join(_table(document["rows"])))
    print(f"\n{unmeasured(document)}", flush=True)


def _table(rows: Mapping[str, Row]) -> list[str]:
    lines = ["| recipe | seeds | before | after | all | gives | s |", "| --- |" + " ---: |" * 6]
    found = {recipe: [row for row in rows.values() if row["recipe"] == recipe] for recipe in RECIPES}
    plain = {row["seed"]: row["after"] for row in found["plain"]}
    for recipe, trained in found.items():
        if not trained:
            continue
        gains = [row["after"] - plain[row["seed"]] for row in trained if row["seed"] in plain]
        cells = [
            recipe,
            str(len(trained)),
            f"{100 * median(row['before'] for row in trained):.2f}",
            f"{100 * median(row['after'] for row in trained):.2f}",
            ", ".join(f"{100 * row['after']:.2f}" for row in trained),
            f"{100 * median(gains):+.2f}" if gains and recipe != "plain" else "",
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
