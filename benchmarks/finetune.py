"""Equal fine-tuning of networks that were pruned by gnnrl, Torch-Pruning and ModelOpt to one limit.

    python benchmarks/finetune.py --data cifar10-jpeg --weights resnet56_cifar10_jpeg.safetensors --model cifar-resnet56
    python benchmarks/finetune.py --report

One recipe for all: 3 epochs of SGD on the training split, one cycle up to 0.03, crop and flip, the last epoch counts;
`--recipe` chooses another one of benchmarks/recipes.py for all, in a file of its own.
The test images are read before and after it, and decide nothing. All networks are counted by torch's counter of
operations, and none may exceed the limit. The rows are

ppo and other searchers: the best plan after `--evaluations` of the search with the same seed, from the file of
    benchmarks/search.py; a search that is not there is run first, and written there.
uniform@l2+none, ranked@taylor, curves, ...: as in benchmarks/search.py, without a search.
ppo-unrepaired, curves-unrepaired: the same plan and units, with the weights that they had in the dense network.
tp-magnitude, tp-taylor, tp-bn-scale: Torch-Pruning (pip install torch-pruning==1.6.1), see
    benchmarks/peer_torch_pruning.py; with "-local" every layer by the same share.
fastnas: ModelOpt, from the file that benchmarks/peer_fastnas.py wrote (`--fastnas`).

Each row is written when it ends. The same command goes on where it was interrupted; started twice, the two share the
work. A row that cannot be measured leaves its reason.
"""

import argparse
import copy
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import peer_torch_pruning
import torch
from ledger import Row, read, unmeasured
from marks import Arm, found_mark
from marks import search as search_for
from recipes import PLAIN, RECIPES, train
from safetensors.torch import load_file
from subject import Prepared, Subject, announce, parser, printed
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gnnrl.network.cost import Budget
from gnnrl.zoo.batches import batched

ARMS = (
    "ppo,curves,uniform@l2+none,uniform@taylor,ranked@taylor,"
    "tp-magnitude,tp-taylor,tp-bn-scale,tp-magnitude-local,tp-taylor-local,tp-bn-scale-local,fastnas"
)
PEER, FASTNAS, LOCAL, UNREPAIRED = "tp-", "fastnas", "-local", "-unrepaired"


class NotRunError(Exception):
    """A row cannot be measured here, for a reason that a reader should know."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fine-tune what is missing and print the table; or print those of all files."""
    options = _options(arguments)
    if printed(options, "finetune", report):
        return
    subject = Subject.load(options)
    recipe = {"epochs": options.epochs, "learning_rate": options.learning_rate, "evaluations": options.evaluations}
    name = subject.name
    if options.recipe != PLAIN:
        recipe["recipe"] = options.recipe
        name += "-" + re.sub("[^a-z0-9.]+", "-", options.recipe)
    ledger = subject.ledger("finetune", recipe, name)
    announce(ledger)
    planned = {
        f"{arm}, seed {seed}": (arm, seed) for seed in range(options.seeds) for arm in options.arms.split(",") if arm
    }
    if options.forget:
        ledger.forget(options.forget.split(","))
    ledger.plan(planned)
    for key in ledger.claim(planned):
        arm, seed = planned[key]
        try:
            row = measure(subject, arm, seed)
        except NotRunError as error:
            ledger.fail(key, str(error))
            print(f"  {key}: not run: {error}", flush=True)
            continue
        except Exception as error:  # the rows after it shall not wait for somebody to come
            traceback.print_exc()
            ledger.fail(key, f"{type(error).__name__}: {error}")
            continue
        ledger.keep(key, row)
        print(f"  {key}: {row['before']:.2%} -> {row['after']:.2%}, {row['seconds']:.0f} s", flush=True)
    report(ledger.path)


def measure(subject: Subject, arm: str, seed: int) -> Row:
    """Prune, count, train, and read the test images before and after."""
    start = perf_counter()
    small = pruned(subject, arm, seed)
    macs = count(small, subject)
    if not holds(small, subject):
        raise NotRunError(f"it exceeds the limit: {macs / count(subject.model, subject):.1%} of the MACs")
    pruning = perf_counter() - start
    before = subject.read_test(small)
    start = perf_counter()
    result = train(small, subject, subject.options.recipe, seed)
    return {
        "arm": arm,
        "seed": seed,
        "macs": macs,
        "params": sum(parameter.numel() for parameter in small.parameters()),
        "before": before,
        "after": subject.read_test(small),
        "diverged": result.diverged,
        "losses": [epoch.loss for epoch in result.history],
        "pruning_seconds": pruning,
        "seconds": perf_counter() - start,
    }


def pruned(subject: Subject, arm: str, seed: int) -> nn.Module:
    """The pruned network of an arm, before fine-tuning.

    Raises:
        NotRunError: another tool, or its result, is not there.
    """
    if arm == FASTNAS:
        return _by_fastnas(subject)
    if arm.startswith(PEER):
        return _by_torch_pruning(subject, arm.removeprefix(PEER))
    chosen = Arm.parse(arm.removesuffix(UNREPAIRED))
    prepared = subject.prepared(chosen.importance, chosen.repair)
    widths = _widths(subject, chosen, prepared, seed)
    scorer = prepared.study.scorer()
    if arm.endswith(UNREPAIRED):
        scorer = replace(scorer, repair="none")
    return scorer.build(scorer.plan(widths))


def _widths(subject: Subject, chosen: Arm, prepared: Prepared, seed: int) -> Sequence[int]:
    """The best plan of an arm: the only one, or that of the search, which is run where it is not there.

    Raises:
        NotRunError: another process runs the search.
    """
    if chosen.closed:
        task = prepared.task(1, seed)
        chosen.searcher(task)
        return task.best.widths
    ledger, evaluations = subject.ledger("search"), subject.options.evaluations
    if found_mark(ledger.rows, chosen.name, evaluations, seed) is None:
        search_for(ledger, subject, [chosen], evaluations, [seed])
    found = found_mark(ledger.rows, chosen.name, evaluations, seed)
    if found is None:
        raise NotRunError(
            f"the search is not there: {evaluations} evaluations, seed {seed}; another process may run it"
        )
    widths: list[int] = found["widths"]
    return widths


def _by_torch_pruning(subject: Subject, name: str) -> nn.Module:
    criterion = name.removesuffix(LOCAL)
    if criterion not in peer_torch_pruning.CRITERIA:
        raise SystemExit(f"there is no {PEER}{criterion}; there are {', '.join(peer_torch_pruning.CRITERIA)}")
    try:
        return peer_torch_pruning.prune(
            subject.model,
            subject.inputs[0],
            criterion,
            lambda small: holds(small, subject),
            list(batched(subject.splits.calibration, 125))[: -(-subject.options.calibration_images // 125)],
            global_pruning=not name.endswith(LOCAL),
        )
    except ImportError as error:
        raise NotRunError(f"pip install torch-pruning=={peer_torch_pruning.VERSION} ({error})") from error


def _by_fastnas(subject: Subject) -> nn.Module:
    path = subject.options.fastnas
    if path is None or not path.exists():
        raise NotRunError("run benchmarks/peer_fastnas.py where ModelOpt is installed, and give its file as --fastnas")
    tensors = load_file(path)
    small = copy.deepcopy(subject.model)
    for name, module in small.named_modules():
        own = {key: tensors[f"{name}.{key}"] for key in module.state_dict() if f"{name}.{key}" in tensors}
        for key, tensor in own.items():
            if key in module._parameters:
                module._parameters[key] = nn.Parameter(tensor.clone())
            elif key in module._buffers:
                module._buffers[key] = tensor.clone()
        if isinstance(module, nn.Conv2d):
            module.out_channels, module.in_channels = own["weight"].shape[0], own["weight"].shape[1] * module.groups
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = len(own["weight"])
    return small


@torch.no_grad()
def count(model: nn.Module, subject: Subject) -> int:
    """Multiply-accumulates of one image, by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        model.eval()(*subject.inputs)
    return counter.get_total_flops() // 2


def holds(model: nn.Module, subject: Subject) -> bool:
    """Whether a network is within the limit on MACs."""
    dense = subject.network.cost.measure(subject.network.widths)
    return all(
        (count(model, subject) if metric == "macs" else sum(p.numel() for p in model.parameters())) <= limit
        for metric, limit in Budget.of(subject.options.constraint, dense).limits
    )


def report(path: Path) -> None:
    """Print the table of a file and what is missing in it."""
    document = read(path)
    settings, facts = document["settings"], document["facts"]
    recipe = settings.get("recipe", PLAIN)
    print(f"\n### {path.stem} ({settings['model']}, {settings['constraint']}, {settings['epochs']} epochs, {recipe})")
    print(f"\nDense: test {100 * facts['dense_test']:.2f}.\n")
    print("\n".join(_table(document["rows"], facts["dense_macs"])))
    print(f"\n{unmeasured(document)}", flush=True)


def _table(rows: Mapping[str, Any], dense_macs: int) -> list[str]:
    lines = [
        "| plan | seeds | MACs | parameters | before | after | all | ppo leads by | s |",
        "| --- |" + " ---: |" * 8,
    ]
    arms = {arm: [row for row in rows.values() if row["arm"] == arm] for arm in {row["arm"] for row in rows.values()}}
    after = {arm: median(row["after"] for row in found) for arm, found in arms.items()}
    for arm, found in sorted(arms.items(), key=lambda item: -after[item[0]]):
        cells = [
            arm,
            str(len(found)),
            f"{median(row['macs'] for row in found) / dense_macs:.3f}",
            f"{median(row['params'] for row in found):,.0f}",
            f"{100 * median(row['before'] for row in found):.2f}",
            f"{100 * after[arm]:.2f}",
            ", ".join(f"{100 * row['after']:.2f}" for row in found),
            "" if arm == "ppo" or "ppo" not in after else f"{100 * (after['ppo'] - after[arm]):+.2f}",
            f"{median(row['seconds'] for row in found):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--arms", default=ARMS, help="joined by commas")
    found.add_argument("--epochs", type=int, default=3)
    found.add_argument("--learning-rate", type=float, default=0.03)
    found.add_argument("--recipe", default=PLAIN, choices=RECIPES, help="of benchmarks/recipes.py, for all rows")
    found.add_argument("--evaluations", type=int, default=150, help="of the searches whose plans are trained")
    found.add_argument("--fastnas", type=Path, help="what benchmarks/peer_fastnas.py wrote")
    found.add_argument("--forget", help="rows that are deleted first")
    found.add_argument("--report", action="store_true", help="measure nothing: the tables of all files")
    found.set_defaults(seeds=2)
    options = found.parse_args(arguments)
    if options.quick:
        options.evaluations, options.seeds, options.epochs = 3, 1, 1
        options.arms = "ppo,ppo-unrepaired,uniform@l2+none,tp-magnitude,fastnas"
    return options


if __name__ == "__main__":
    main()
