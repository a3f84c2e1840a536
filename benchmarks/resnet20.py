"""ResNet on CIFAR-10 (JPEG) at a share of its MACs, before any fine-tuning: criteria, closed form and PPO.

    python benchmarks/resnet20.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors

Every row has the same network, limit, calibration images and reward images. The reward is top-1 on the 5,000 images
of the reward split; the test set is read once for each row, after everything was decided. The search rows print where
their time went: "outside" is all that is neither a forward pass of calibration nor of reward.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter

import machine
import torch
from torch import nn

from gnnrl.evaluation import Evaluator
from gnnrl.network.structure import Network
from gnnrl.network.tracer import trace
from gnnrl.pruning.calibration import calibrate
from gnnrl.pruning.curves import error_curves
from gnnrl.pruning.importance import importance
from gnnrl.pruning.plan import removal_orders
from gnnrl.pruning.projection import Projection
from gnnrl.searchers.table import find_searcher
from gnnrl.searchers.task import Task, run
from gnnrl.training import evaluator
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import load_data
from gnnrl.zoo.models import example_inputs, input_spec, resolve_model
from gnnrl.zoo.weights import load_weights


@dataclass(frozen=True)
class Arm:
    """One row: who decides the widths, which units go, how the network is repaired."""

    label: str
    searcher: str
    importance: str
    repair: str
    evaluations: int = 1
    seeds: tuple[int, ...] = (0,)


@dataclass
class Row:
    """What an arm reached, one entry for each seed."""

    label: str
    evaluations: int
    reward: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    macs: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    widths: list[list[int]] = field(default_factory=list)


def main() -> None:
    """Print all rows and write them."""
    options = _options()
    torch.set_num_threads(options.threads)
    model = resolve_model(options.model).eval()
    load_weights(model, options.weights)
    spec = input_spec(options.model)
    splits = load_data(options.data, image_size=(spec.shape[2], spec.shape[3]), mean=spec.mean, std=spec.std)
    judge = evaluator(splits.reward, precision="bfloat16")
    read_test = evaluator(splits.test, precision="bfloat16")
    network = trace(model, example_inputs(spec))
    seeds = tuple(range(options.seeds))
    arms = (
        Arm("uniform, l2, BatchNorm only", "uniform", "l2", "bn"),
        Arm("uniform, Taylor, repaired", "uniform", "taylor", "ls"),
        Arm("ranked Taylor, repaired", "ranked", "taylor", "ls"),
        Arm("error curves in closed form", "curves", "curves", "ls"),
        Arm("PPO from the closed form", "ppo", "curves", "ls", options.evaluations, seeds),
    )
    facts = {**machine.describe(), "model": options.model, "constraint": options.constraint}
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    dense = read_test(model)
    print(f"dense test top-1: {100 * dense:.2f}\n", flush=True)
    batches = batched(splits.calibration, 125)
    rows = []
    for arm in arms:
        if options.only and arm.searcher not in options.only.split(","):
            continue
        row = Row(arm.label, arm.evaluations)
        for seed in arm.seeds:
            _measure(row, arm, seed, model, network, options.constraint, batches, judge, read_test)
            print(f"  {arm.label}, seed {seed}: reward {row.reward[-1]:.2f}, test {row.test[-1]:.2f}", flush=True)
        rows.append(row)
    _print(rows)
    path = machine.write(options.name, {**facts, "dense": 100 * dense, "rows": [asdict(row) for row in rows]})
    print(f"\nwritten to {path}", file=sys.stderr)


def _measure(
    row: Row,
    arm: Arm,
    seed: int,
    model: nn.Module,
    network: Network,
    constraint: str,
    batches: object,
    judge: Callable[[nn.Module], float],
    read_test: Callable[[nn.Module], float],
) -> None:
    """Run one arm with one seed, from calibration to the best plan, and read the test set once."""
    start = perf_counter()
    record = calibrate(model, batches)  # type: ignore[arg-type]
    calibration_forward = perf_counter() - start
    curves = error_curves(model, network, record)
    labelled = list(record.batches()) if arm.importance == "taylor" else None
    criterion = "l2" if arm.importance == "curves" else arm.importance
    scores = importance(criterion, model, network, labelled, seed)
    orders = [curve.order for curve in curves] if arm.importance == "curves" else removal_orders(scores)
    candidates = Evaluator(model, network, judge, orders, record, arm.repair)
    task = Task(
        Projection.build(network, constraint, machine.EVERY_WIDTH), candidates, curves, scores, arm.evaluations, seed
    )
    best = run(find_searcher(arm.searcher), task)
    total = perf_counter() - start
    spent = candidates.seconds.forward + calibration_forward
    row.reward.append(100 * best.score)
    row.macs.append(best.macs / network.cost.measure(network.widths).macs)
    row.seconds.append(total)
    row.outside.append(1 - spent / total)
    row.widths.append(list(best.widths))
    row.test.append(100 * read_test(candidates.build(candidates.plan(best.widths))))


def _print(rows: list[Row]) -> None:
    print(f"\n| {'plan':30} | evaluations | MACs | reward | test, median (all) | seconds | outside |")
    print(f"| {'---':30} | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        middle = statistics.median
        each = f" ({', '.join(f'{value:.2f}' for value in row.test)})" if len(row.test) > 1 else ""
        print(
            f"| {row.label:30} | {row.evaluations} | {middle(row.macs):.3f} | {middle(row.reward):.2f} "
            f"| {middle(row.test):.2f}{each} | {middle(row.seconds):.0f} | {middle(row.outside):.0%} |"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train and test archives of class folders")
    parser.add_argument("--weights", required=True, help="safetensors of the dense network")
    parser.add_argument("--model", default="cifar-resnet20")
    parser.add_argument("--constraint", default="macs<=50%")
    parser.add_argument("--evaluations", type=int, default=150, help="of each searching row")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="searchers to run, joined by commas")
    parser.add_argument("--name", default="resnet20", help="name of the result file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
