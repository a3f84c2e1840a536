"""A compression as the command line asks for it: what can be refused is refused first, then data, work and result."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli.console import Narrator
from gnnrl.cli.options import Executor, Importance, Metric, Repair
from gnnrl.cli.running import Session
from gnnrl.cli.sources import EVALUATION_BATCH, Fed, Source, is_own, load_network, load_splits
from gnnrl.cli.tuning import Training, choose_precision, tune
from gnnrl.cli.widths import Widths
from gnnrl.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from gnnrl.compression import CompressionResult
    from gnnrl.evaluation import Evaluate, Trial
    from gnnrl.network.structure import Network
    from gnnrl.zoo.data import DataSplits

_STAGES = {
    "latency": "measuring layers",
    "calibrate": "calibrating",
    "search": "searching",
    "verify": "verifying",
    "test": "testing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Training):
    """What a compression is asked to do; each field is an option of `gnnrl prune`."""

    source: Source
    data: str
    constraint: str
    out: Path
    force: bool = False
    searcher: str = "ppo"
    episodes: int = 150
    importance: Importance = "curves"
    repair: Repair = "ls"
    metric: Metric = "top1"
    reward_images: int | None = None
    calibration_images: int = 500
    executor: Executor = "serial"
    workers: int | None = None
    address: str | None = None
    widths: Widths = field(default_factory=Widths)


def run_job(job: Job, narrator: Narrator, session: Session) -> dict[str, Any]:
    """Compress, save, and return all facts that `--json` prints; the run is over then.

    Raises:
        GnnrlError: see `gnnrl.errors`.
    """
    fed, network = prepare(job, narrator)
    data = load_splits(job.data, fed, narrator)
    result = _compress(job, fed, network, data, narrator, session)
    return save_result(job, fed, result, data, narrator, session)


def save_result(
    job: Job, fed: Fed, result: "CompressionResult", data: "DataSplits", narrator: Narrator, session: Session
) -> dict[str, Any]:
    """Write a result, end its run, and return all facts of it."""
    session.enter("save")
    facts = facts_of(job, fed, result, data, narrator)
    about = {**facts, "commands": next_commands(job)}
    result.save(job.out, about=about, records=session.directory.records, force=job.force)
    session.directory.remove()
    return {**facts, "out": str(job.out)}


def next_commands(job: Job) -> list[list[str]]:
    """Commands that judge, look at and take home the result."""
    source = job.source
    network = ["--model", source.model]
    for option, value in (("--input-shape", source.input_shape), ("--mean", source.mean), ("--std", source.std)):
        network += [option, value] if value else []
    shape = network if source.mean is None and source.std is None else network[:4]
    return [
        ["gnnrl", "evaluate", str(job.out), *network, "--data", job.data],
        ["gnnrl", "export", str(job.out), *shape, "--out", f"{job.out.name}.onnx"],
        ["gnnrl", "report", str(job.out)],
    ]


def prepare(job: Job, narrator: Narrator) -> tuple[Fed, "Network"]:
    """Load and trace the network, and refuse what can be refused before any data is read."""
    check_before(job)
    fed = load_network(job.source, job.device, narrator)
    if job.finetune_epochs and not any(parameter.requires_grad for parameter in fed.model.parameters()):
        raise ConfigError(
            f"no parameter of {job.source.model} can be trained (requires_grad is False everywhere); let the factory "
            "call model.requires_grad_(True), or give --finetune-epochs 0"
        )
    return fed, refuse_unreachable(job, fed, narrator)


def check_before(job: Job) -> None:
    """Refuse a place for the result, and settings, before anything is written."""
    from gnnrl.bundle import check_target

    check_target(job.out, force=job.force)
    check_settings(job)


def check_settings(job: Job) -> None:
    """Refuse what needs neither network nor data to be seen as wrong."""
    from gnnrl.network.cost import Constraint
    from gnnrl.searchers.table import find_searcher

    Constraint.parse(job.constraint)
    find_searcher(job.searcher)
    executor_of(job)
    job.widths.rules()
    source = job.source
    if not (source.weights or source.pretrained or is_own(source.model)):
        raise ConfigError(
            f"{source.model} has random weights: give --weights FILE, or --pretrained where its authors publish some"
        )


def import_engine(narrator: Narrator) -> None:
    """Import what every job needs; it takes seconds."""
    narrator.begin("loading PyTorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch_geometric's use of torch.jit concerns no user
        import_module("gnnrl.compression")


def refuse_unreachable(job: Job, fed: Fed, narrator: Narrator) -> "Network":
    """Trace the network and check that the limit can be met, before any data is read.

    Raises:
        ConfigError, TraceError, UnreachableConstraint: what is wrong with network, limit or rules.
    """
    from gnnrl.network.tracer import trace
    from gnnrl.pruning.projection import Projection

    narrator.begin("tracing")
    inputs = tuple(value.to(job.device) for value in fed.example_inputs)
    network = timed(trace(fed.model, inputs), job.constraint, fed.model, inputs, narrator)
    Projection.build(network, job.constraint, job.widths.rules())
    dense = network.cost.measure(network.widths)
    narrator.note(f"{dense.macs:,} MACs, {len(network.groups)} groups of channels can shrink")
    narrator.note(job.widths.facts(network)["rounding"])
    return network


def timed(network: "Network", constraint: str, model: "nn.Module", inputs: Any, narrator: Narrator) -> "Network":
    """The network with a latency, where that is limited."""
    from gnnrl.latency.agreement import limits_latency
    from gnnrl.latency.measurement import measure_latency

    if not limits_latency(constraint):
        return network
    narrator.begin("measuring layers")
    return measure_latency(model, network, inputs, progress=narrator.advance)


def _compress(
    job: Job, fed: Fed, network: "Network", data: "DataSplits", narrator: Narrator, session: Session
) -> "CompressionResult":
    from gnnrl.compression import compress
    from gnnrl.searchers.table import evaluations_of

    best = Best(job.metric, evaluations_of(job.searcher, job.episodes), narrator)
    settings = {**searching(job, fed, data, narrator, best, session), **shared_arguments(job, fed.model, network, data)}
    return compress(fed.model, fed.example_inputs, job.constraint, **settings)


def searching(
    job: Job, fed: Fed, data: "DataSplits", narrator: Narrator, best: "Best", session: Session
) -> dict[str, Any]:
    """What one search is asked beside `shared_arguments`, as `compress` names it."""

    def begin(stage: str) -> None:
        session.enter(stage)
        if stage in _STAGES:
            narrator.begin(_STAGES[stage])

    def tell(trial: "Trial") -> None:
        best(trial)
        session.interruption.check()

    return {
        "finetune": (lambda small: tune(job, small, fed.model, data, narrator, session))
        if job.finetune_epochs
        else None,
        "searcher": job.searcher,
        "seed": job.seed,
        "on_stage": begin,
        "on_trial": tell,
        "run": session.directory,
    }


def shared_arguments(job: Job, model: "nn.Module", network: "Network", data: "DataSplits") -> dict[str, Any]:
    """What a search and a comparison of searches are both asked, as `compress` and `compare` name it."""
    from gnnrl.per_class import ClassTally
    from gnnrl.zoo.batches import batched

    return {
        "evaluate": reward(job, model, data),
        "calibration": batched(data.train, EVALUATION_BATCH),
        "test": ClassTally(data.test, data.classes, **_judging(job)),
        "episodes": job.episodes,
        "importance": job.importance,
        "repair": job.repair,
        "rules": job.widths.rules(),
        "network": network,
        "calibration_images": job.calibration_images,
        "device": job.device,
        "executor": executor_of(job),
    }


def executor_of(job: Job) -> Any:
    """Where a job judges plans; workers alone stand for processes."""
    from gnnrl.executors.table import find_executor

    is_parallel = job.executor == "serial" and (job.workers or 1) > 1
    return find_executor("process" if is_parallel else job.executor, workers=job.workers, address=job.address)


def reward(job: Job, model: "nn.Module", data: "DataSplits") -> "Evaluate":
    """The reward that a job asks for; `model` is the dense network."""
    from gnnrl.training import evaluator

    teacher = model if job.metric == "kl" else None
    return evaluator(data.judging(job.reward_images), job.metric, teacher=teacher, **_judging(job))


def _judging(job: Job) -> dict[str, Any]:
    return {"batch_size": EVALUATION_BATCH, "device": job.device, "precision": choose_precision(job)}


class Best:
    """Tells after each plan how good the best one is."""

    def __init__(self, metric: Metric, total: int, narrator: Narrator) -> None:
        self._metric, self._total, self._narrator = metric, total, narrator
        self._best = -math.inf

    def restart(self) -> None:
        """Forget the plans so far."""
        self._best = -math.inf

    def __call__(self, trial: "Trial") -> None:
        """Tell."""
        self._best = max(self._best, trial.score)
        self._narrator.advance(trial.number + 1, self._total, f"best {_show_score(self._metric, self._best)}")


def _show_score(metric: Metric, score: float) -> str:
    """Write a reward as people know it."""
    return f"top-1 {score:.2%}" if metric == "top1" else f"{metric} {-score:.4f}"


def facts_of(job: Job, fed: Fed, result: "CompressionResult", data: "DataSplits", narrator: Narrator) -> dict[str, Any]:
    """What `--json` prints of a result; speed is measured here."""
    import torch
    from safetensors.torch import save

    from gnnrl.bundle import tensors
    from gnnrl.cli.timing import measure_speed

    narrator.begin("measuring speed")
    sizes = {
        stage: len(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors(model).items()}))
        for stage, model in (("dense", fed.model), ("pruned", result.model))
    }
    latency, throughput = measure_speed({"dense": fed.model, "pruned": result.model}, fed.example_inputs[0], job.device)
    scores = [trial.score for trial in result.history]
    return {
        "model": job.source.model,
        "data": job.data,
        "constraint": job.constraint,
        "score": result.score,
        "test_images": len(data.test),
        "reward": {"metric": job.metric, "first": scores[0], "best": max(scores)},
        "macs": {name: cost.macs for name, cost in result.cost.items()},
        "params": {name: cost.params for name, cost in result.cost.items()},
        "file_bytes": sizes,
        "latency_ms": latency,
        "images_per_second": throughput,
        "latency_limit": None if result.latency is None else result.latency.facts(),
        "threads": torch.get_num_threads(),
        "layers": [
            {"name": group.name, "dense": group.size, "pruned": width}
            for group, width in zip(result.network.groups, result.plan.widths, strict=True)
        ],
        "verified_difference": result.verification.difference,
        "rules": job.widths.facts(result.network),
        "evaluations": len(result.history),
        "stage_seconds": {name: round(seconds, 2) for name, seconds in result.seconds.items()},
        "seed": job.seed,
    }


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Compute on so many threads inside; None leaves the choice to PyTorch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
