"""What each part of the graph policy's search is worth, and what the encoder and the updates cost.

    python benchmarks/ablation.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors
    python benchmarks/ablation.py --only cost
    python benchmarks/ablation.py --report

The variants (benchmarks/variants.py), at equal numbers of evaluations, as in benchmarks/search.py: no graph (a free
Gaussian for each group), one stage instead of two, noise instead of features, no warm start, no repair or BatchNorm
only, episodes of 3 and 5 steps, and the paper's free steps without projection.

The cost, on networks with random weights: time of building one state and of encoding it with one and with two stages,
memory of an encoder and of what a backward pass keeps of one state, an update of PPO, and the search's own time for
each evaluation where evaluations take no time; for the CIFAR ResNets beside one reward evaluation (500 calibration
images, 5,000 reward images, bfloat16).

Each row is written when it is measured; see benchmarks/search.py for how to go on and to share the work.
"""

import argparse
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import machine
import torch
from ledger import Ledger, Row, read, unmeasured
from marks import search, tables, wanted
from stopwatch import timed
from subject import Subject, announce, parser, printed
from torch import Tensor, nn
from variants import VARIANTS

from gnnrl.agent.batching import batch
from gnnrl.agent.observation import Observation
from gnnrl.agent.policy import ActorCritic
from gnnrl.agent.ppo import PPO
from gnnrl.compression.study import Study
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.curves import Curve, error_curves
from gnnrl.pruning.importance import importance
from gnnrl.pruning.projection import Projection
from gnnrl.scoring.plans import Scorer, Trial, Widths, key_of
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.task import Task
from gnnrl.searchers.task import search as run_search
from gnnrl.training import evaluator
from gnnrl.zoo.models import example_inputs, resolve_model

NETWORKS = (
    "cifar-resnet20",
    "cifar-resnet56",
    "cifar-resnet110",
    "torchvision:mobilenet_v2",
    "torchvision:resnet50",
    "torchvision:densenet121",
    "torchvision:vit_b_16",
)
IMAGES, CALIBRATION = 5000, 500
EVALUATIONS = 44
REPEATS = 20
LIMIT = "macs<=50%"


class Instant(Task):
    """Scores plans by their error curves alone, in no time, and each time again."""

    def is_known(self, widths: Any) -> bool:
        """Nothing is known, so that a search of so many evaluations plays as many plans."""
        return key_of(widths) in self._asked

    def _scored(self, plans: Sequence[Widths]) -> Generator[Trial, None, None]:
        """Minus the summed errors."""
        for key in plans:
            score = -sum(float(curve.error[width - 1]) for curve, width in zip(self.curves, key, strict=True))
            yield self._add(Trial(len(self.trials), key, score, 0, 0.0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing and print the tables; or print those of all files."""
    options = _options(arguments)
    if printed(options, "ablation", report):
        return
    if options.only != "cost":
        subject = Subject.load(options)
        ledger = subject.ledger("ablation")
        announce(ledger)
        if options.forget:
            ledger.forget(options.forget.split(","))
        arms = [VARIANTS[name] for name in options.variants.split(",")]
        search(ledger, subject, arms, options.evaluations, range(options.seeds))
        report(ledger.path)
    if options.only != "variants":
        torch.set_num_threads(options.threads)
        ledger = Ledger(
            Path(options.results) / "ablation" / "cost.json", {"threads": options.threads}, machine.describe()
        )
        ledger.plan(options.networks.split(","))
        for name in ledger.claim(options.networks.split(",")):
            ledger.keep(name, cost(name, quick=options.quick))
            print(f"  {name}", flush=True)
        report(ledger.path)


def cost(name: str, *, quick: bool = False) -> Row:
    """Time and memory of one network's states, updates and evaluations."""
    torch.manual_seed(0)
    model, inputs = resolve_model(name).eval(), example_inputs(name)
    network = trace(model, inputs)
    curves = error_curves(model, network, None)
    task = _instant(model, network, curves)
    environment = PPOSearcher().environment(task)
    observation = environment.observation()
    row: Row = {
        "arm": name,
        "groups": len(network.groups),
        "nodes": len(observation.x),
        "operations": len(observation.operation_x),
        "observe_seconds": _seconds(environment.observation),
    }
    for stages in (1, 2):
        row[f"stages{stages}"] = _encoder(observation, stages)
    start = perf_counter()
    with timed(PPO, "update") as updates:
        run_search(PPOSearcher(), task)
    row["own_seconds"] = (perf_counter() - start) / len(task.trials)
    row["update_seconds"] = median(updates) if updates else None
    if name.startswith("cifar") or quick:
        row["reward_seconds"] = _reward(model, inputs, network, 20 if quick else IMAGES)
    return row


def _instant(model: nn.Module, network: Network, curves: list[Curve]) -> Task:
    scores = importance("l2", model, network)
    scorer = Scorer(model, network, lambda model: 0.0, [curve.order for curve in curves], repair="none")
    return Instant(Projection.build(network, LIMIT, machine.EVERY_WIDTH), scorer, curves, scores, EVALUATIONS, 0)


def _encoder(observation: Observation, stages: int) -> Row:
    """Seconds of encoding a state, bytes of the encoder's parameters and of what a backward pass keeps."""
    policy = ActorCritic.build(observation, stages=stages)
    encoder: Any = policy.actor.encoder
    single = batch([observation])
    kept: dict[int, int] = {}
    known = {parameter.data_ptr() for parameter in encoder.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        encoder(single)
    with torch.no_grad():
        seconds = _seconds(lambda: encoder(single))
    parameters = sum(parameter.nbytes for parameter in encoder.parameters())
    return {"seconds": seconds, "parameter_bytes": parameters, "state_bytes": sum(kept.values())}


def _seconds(call: Callable[[], Any]) -> float:
    def once() -> float:
        start = perf_counter()
        call()
        return perf_counter() - start

    return median(once() for _ in range(REPEATS))


def _reward(model: nn.Module, inputs: tuple[Tensor, ...], network: Network, images: int) -> float:
    """Seconds of one evaluation of the closed-form plan on random images."""
    data = [(torch.randn(min(images, 250), *inputs[0].shape[1:]), torch.zeros(min(images, 250), dtype=torch.int64))]
    study = Study(
        model,
        inputs,
        evaluate=evaluator(data * max(images // 250, 1), precision="bfloat16"),
        calibration=data * (CALIBRATION // 250),
        calibration_images=min(images, CALIBRATION),
        rules=machine.EVERY_WIDTH,
        network=network,
    )
    task = study.task(study.goal(LIMIT), 1)
    task.score(task.prior(task.projection))
    return task.trials[0].seconds


def report(path: Path) -> None:
    """Print the table of a file and what is missing in it."""
    document = read(path)
    if path.stem == "cost":
        print("\n" + "\n".join(_costs(document["rows"])))
    else:
        settings = document["settings"]
        document = wanted(document)
        print("\n" + tables(document, f"{path.stem} ({settings['model']}, {settings['constraint']})"))
    print(f"\n{unmeasured(document)}", flush=True)


def _costs(rows: Mapping[str, Row]) -> list[str]:
    head = (
        "groups | nodes | operations | state, ms | encode, ms: 1 stage | 2 stages | encoder, MB | kept for backward, MB"
    )
    lines = [f"| network | {head} | update, ms | own time an evaluation, ms | one reward, ms |"]
    lines.append("| --- |" + " ---: |" * 11)
    for name, row in rows.items():
        one, two = row["stages1"], row["stages2"]
        cells = [str(row["groups"]), str(row["nodes"]), str(row["operations"])]
        cells += [f"{1000 * value:.1f}" for value in (row["observe_seconds"], one["seconds"], two["seconds"])]
        cells += [f"{two['parameter_bytes'] / 1e6:.2f}", f"{two['state_bytes'] / 1e6:.1f}"]
        cells += [_milliseconds(row.get(f"{what}_seconds")) for what in ("update", "own", "reward")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:,.0f}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--variants", default=",".join(VARIANTS), help="joined by commas")
    found.add_argument("--networks", default=",".join(NETWORKS), help="whose cost is measured, joined by commas")
    found.add_argument("--evaluations", type=int, default=150, help="of each run")
    found.add_argument("--only", choices=("variants", "cost"), help="one of the two parts")
    found.add_argument("--forget", help="variants whose runs are deleted first, since their code has changed")
    found.add_argument("--report", action="store_true", help="measure nothing: the tables of all files")
    found.set_defaults(seeds=3)
    options = found.parse_args(arguments)
    if options.quick:
        options.evaluations, options.seeds, options.networks = 2, 1, "digits-resnet"
    return options


if __name__ == "__main__":
    main()
