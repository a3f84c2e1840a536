"""What is left without any training: real ImageNet weights, five folds of 500 images, divergence and top-1.

    python benchmarks/untrained.py --images DIR --weights DIR --network mobilenet_v2,efficientnet_lite0
    python benchmarks/untrained.py --images DIR --weights DIR --methods torch-pruning-taylor --folds 0 --peer-python ...
    python benchmarks/untrained.py --cifar DIR --weights DIR --network cifar-resnet56 --folds 0
    python benchmarks/untrained.py --report

DIR of `--images` and the packages in `--weights` are described in `untrained_subjects.py`. Each fifth of the images is
judged once, by networks that were calibrated on 200 of the others without their labels. Other tools run in
environments of their own (`untrained_peers.py`), which `--peer-python` names. Rows named `...+bn` have the statistics
of BatchNorm taken again from the calibration images. Of CIFAR-10 (JPEG) a "fold" is a set of 500 calibration images;
the 10,000 test images judge, and rows hold the means of blocks of 100. Divergence is KL(dense || small) in nats.

Dense top-1 on these images is far above the published one: no figure compares with those of papers, only rows of one
run with each other.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
import untrained_sentences
from ledger import Ledger, read
from torch import Tensor, nn
from untrained_peers import PEERS
from untrained_subjects import CALIBRATED, FOLDS, SUBJECTS, fold_of, logits

import gnnrl
from gnnrl.pruning.allocation import Allocation
from gnnrl.pruning.plan import Plan
from gnnrl.zoo.data import load_data
from gnnrl.zoo.models import input_spec, resolve_model
from gnnrl.zoo.weights import load_weights

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
OURS = ("weighted", "closed-form", "uniform")
CIFAR = {
    "cifar-resnet20": "cifar-resnet20-45000.safetensors",
    "cifar-resnet56": "resnet56_cifar10_jpeg.safetensors",
}
CIFAR_CALIBRATED, BLOCK = 500, 100


@dataclass(frozen=True)
class Prepared:
    """A network with its images of one fold."""

    model: nn.Module
    calibration: list[Tensor]
    judged: Tensor
    labels: Tensor
    block: int
    rules: gnnrl.WidthRules

    @classmethod
    def of(cls, args: argparse.Namespace, name: str, fold: int) -> "Prepared":
        """Read weights and images."""
        if name in CIFAR:
            return cls._of_cifar(args, name, fold)
        subject, (calibrated, judged) = SUBJECTS[name], fold_of(fold)
        (x, _), (seen, y) = subject.images(args.images, calibrated), subject.images(args.images, judged)
        return cls(subject.build(args.weights), [x], seen, y, 1, gnnrl.WidthRules())

    @classmethod
    def _of_cifar(cls, args: argparse.Namespace, name: str, fold: int) -> "Prepared":
        spec, model = input_spec(name), resolve_model(name).eval()
        stored = [folder / CIFAR[name] for folder in (args.weights, FOLDER / "weights")]
        load_weights(model, next(file for file in stored if file.exists()))
        splits = load_data(args.cifar, image_size=(spec.shape[2], spec.shape[3]), mean=spec.mean, std=spec.std)
        numbers = torch.arange(CIFAR_CALIBRATED * fold, CIFAR_CALIBRATED * (fold + 1))
        x, _ = splits.calibration.batch(numbers)
        seen, y = splits.test.batch(torch.arange(len(splits.test)))
        return cls(model, list(x.split(125)), seen, y, BLOCK, machine.EVERY_WIDTH)

    def row(self, dense: Tensor, found: Tensor) -> dict[str, Any]:
        """Divergence and correctness of each judged image, or of each block of them."""
        expected = dense.double().log_softmax(1)
        divergence = (expected.exp() * (expected - found.double().log_softmax(1))).sum(1)
        right = (found.argmax(1) == self.labels).double()
        blocks = [value.view(-1, self.block).mean(1).tolist() for value in (divergence, right)]
        shares = [int(share) if self.block == 1 else round(share, 4) for share in blocks[1]]
        return {"divergence": [round(value, 4) for value in blocks[0]], "right": shares}


def plan_of(study: gnnrl.Study, limit: str, method: str) -> Plan:
    """The widths that this repository chooses."""
    goal, known, network = study.goal(limit), study.evidence, study.network
    if method == "uniform":
        sizes = network.widths.astype(np.float64)
        widths = goal.projection.of_family(lambda ratio: sizes * ratio, 0.0, 1.0)
    else:
        curves = known.weighted(goal, study.clock) if method == "weighted" else known.curves
        widths = Allocation.build(goal.projection, curves).widths()
    return Plan.of_widths(network, widths, known.orders)


def peer(args: argparse.Namespace, name: str, limits: list[str], method: str, fold: int) -> dict[str, Any]:
    """What another tool's own environment makes of the network for each limit, and the tool's version.

    Raises:
        RuntimeError: the tool gives no network; the message is its last line.
    """
    pythons = dict(each.split("=") for each in filter(None, args.peer_python.split(",")))
    if PEERS[method] not in pythons:
        raise RuntimeError(f"no --peer-python for {PEERS[method]}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.pt"
        shares = ",".join(str(share_of(limit)) for limit in limits)
        given = {"peer": method, "network": name, "shares": shares, "fold": fold, "out": out}
        given |= {"images": args.images.resolve(), "weights": args.weights.resolve()}
        options = [text for key, value in given.items() for text in (f"--{key}", str(value))]
        command = [pythons[PEERS[method]], str(FOLDER / "untrained_peers.py"), *options]
        alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        try:
            done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=args.patience)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"no network after {args.patience} s") from None
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1][:200])
        found: dict[str, Any] = torch.load(out, weights_only=True)
    return found


def share_of(limit: str) -> float:
    """0.85 of `macs<=85%`."""
    return int(limit.removeprefix("macs<=").removesuffix("%")) / 100


def measure(args: argparse.Namespace, ledger: Ledger, name: str, fold: int) -> None:
    """Measure what is missing of one network and one fold."""
    limits, methods = args.limits.split(","), args.methods.split(",")
    keys = [f"{name} {limit} {method} {fold}" for limit in limits for method in methods]
    ledger.plan([f"{name} dense {fold}", *keys])
    wanted = [key for key in keys if key not in ledger.rows]
    if not wanted:
        return
    known = Prepared.of(args, name, fold)
    dense = logits(known.model, known.judged)
    ledger.keep(f"{name} dense {fold}", known.row(dense, dense))
    study = gnnrl.Study(
        known.model, known.judged[:1], evaluate=lambda _: 0.0, calibration=known.calibration, rules=known.rules
    )
    done: dict[tuple[int, ...], dict[str, Any]] = {}
    for key in ledger.claim(key for key in wanted if key.split(" ")[2] in OURS):
        plan = plan_of(study, *key.split(" ")[1:3])
        if plan.widths not in done:
            small = study.scorer().build(plan)
            done[plan.widths] = known.row(dense, logits(small, known.judged)) | {"commit": commit()}
        keep(ledger, key, done[plan.widths])
    for method in (each for each in methods if each not in OURS):
        missing = [key.split(" ")[1] for key in wanted if key.split(" ")[2] == method]
        if missing:
            measure_peer(args, ledger, known, dense, (name, missing, method, fold))


def measure_peer(
    args: argparse.Namespace,
    ledger: Ledger,
    known: Prepared,
    dense: Tensor,
    asked: tuple[str, list[str], str, int],
) -> None:
    """Measure one other tool at several limits, as it returned the networks and with BatchNorm taken again."""
    name, limits, method, fold = asked
    try:
        found = peer(args, *asked)
    except RuntimeError as error:
        for limit in limits:
            ledger.fail(f"{name} {limit} {method} {fold}", str(error))
        print(name, method, fold, error, flush=True)
        return
    for limit in limits:
        other = found[str(share_of(limit))]
        facts = {"macs": round(other["macs"], 4), "versions": found["versions"]}
        keep(ledger, f"{name} {limit} {method} {fold}", known.row(dense, other["returned"]) | facts)
        keep(ledger, f"{name} {limit} {method}+bn {fold}", known.row(dense, other["recalibrated"]) | facts)


def keep(ledger: Ledger, key: str, row: dict[str, Any]) -> None:
    """Write a row, and print it."""
    ledger.keep(key, row)
    print(key, summary([row]), row.get("versions", ""), flush=True)


def commit() -> str:
    """The commit of the measured package."""
    command = ["git", "-C", str(Path(gnnrl.__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def summary(rows: list[dict[str, Any]], base: list[dict[str, Any]] | None = None) -> str:
    """Divergence with its standard error and top-1, with a paired interval of 95 % to other rows."""
    divergence = np.concatenate([entry["divergence"] for entry in rows])
    right = 100 * np.concatenate([entry["right"] for entry in rows])
    text = f"{divergence.mean():.3f} ± {divergence.std(ddof=1) / len(divergence) ** 0.5:.3f} | {right.mean():.1f}"
    if base is None:
        return text
    gain = right - 100 * np.concatenate([entry["right"] for entry in base])
    return f"{text} | {gain.mean():+.1f} ± {1.96 * gain.std(ddof=1) / len(gain) ** 0.5:.1f}"


def report(path: Path) -> Iterator[str]:
    """Lines of the table: methods with all their folds, compared with `weighted` on the same images."""
    document = read(path)
    rows = document["rows"]
    yield "| network | limit | method | folds | divergence | top-1 | top-1 compared with weighted |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in sorted({key.rsplit(" ", 1)[0] for key in rows | document["failed"]}, key=place):
        folds = [fold for fold in range(FOLDS) if f"{name} {fold}" in rows]
        base = f"{' '.join(name.split(' ')[:2])} weighted"
        shared = [fold for fold in folds if f"{base} {fold}" in rows]
        known = name != base and folds and shared == folds
        columns = " | ".join(name.split(" ") if name.count(" ") == 2 else [name.split(" ")[0], "", "dense"])
        if folds:
            bases = [rows[f"{base} {fold}"] for fold in folds] if known else None
            found = summary([rows[f"{name} {fold}"] for fold in folds], bases)
            yield f"| {columns} | {len(folds)} | {found}{'' if known else ' | '} |"
        else:
            reason = next(text for key, text in document["failed"].items() if key.rsplit(" ", 1)[0] == name)
            yield f"| {columns} | 0 | not measured: {reason} | | |"


def place(name: str) -> tuple[int, ...]:
    """Where the rows of a name stand in the table: by network, limit and method."""
    network, limit, method = [*name.split(" "), ""][:3]
    networks, methods = [*SUBJECTS, *CIFAR], [*OURS, *(f"{each}{end}" for each in PEERS for end in ("", "+bn"))]
    share = -1 if not method else 100 - round(100 * share_of(limit))
    return networks.index(network), share, methods.index(method) if method else 0


def main() -> None:
    """Measure, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--network", default="mobilenet_v2", help=f"of {', '.join([*SUBJECTS, *CIFAR])}, by commas")
    parser.add_argument("--limits", default="macs<=85%,macs<=70%,macs<=50%")
    parser.add_argument("--methods", default=",".join(OURS), help=f"of {', '.join((*OURS, *PEERS))}")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--peer-python", default="", help="TOOL=PYTHON of the tools' environments, joined by commas")
    parser.add_argument("--patience", type=int, default=1800, help="seconds for a tool to prune once")
    parser.add_argument("--name", default="untrained")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    path = RESULTS / f"{args.name}.json"
    if args.report:
        print("\n".join([*report(path), "", *untrained_sentences.report()]))
        return
    torch.set_num_threads(1)
    versions = {name: metadata.version(name) for name in ("torch", "torchvision")}
    facts = {"machine": machine.describe(), "versions": versions}
    ledger = Ledger(path, {"calibrated": CALIBRATED, "folds": FOLDS}, facts)
    print(f"gnnrl {gnnrl.__version__} {commit()}, {versions}", flush=True)
    for fold in map(int, args.folds.split(",")):
        for name in args.network.split(","):
            measure(args, ledger, name, fold)
    print("\n".join(report(path)))


if __name__ == "__main__":
    main()
