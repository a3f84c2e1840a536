"""A compression as the command line asks for it: what can be refused is refused first, then data, work and result."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import EVALUATION_BATCH, Fed, Source, check_device, check_named, is_own, load_network
from gnnrl.cli.options import Executor, Importance, Metric, Repair
from gnnrl.cli.runs import Session
from gnnrl.cli.training import Training, choose_precision, tune
from gnnrl.cli.width_rules import Widths
from gnnrl.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from gnnrl.latency.ledger import Ledger
    from gnnrl.network.structure import Network
    from gnnrl.scoring.plans import Evaluate, Trial
    from gnnrl.zoo.data import DataSplits

STAGES = {
    "latency": ("measuring layers", "measurements"),
    "calibrate": ("calibrating", ""),
    "curves": ("weighing channels", "channels"),
    "search": ("searching", "plans"),
    "verify": ("verifying", ""),
    "test": ("testing", ""),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Job):
    """A compression to several limits, which has a folder in `out` for each."""

    limits: tuple[str, ...]

    def jobs(self) -> list[Job]:
        """A job for each limit.

        Raises:
            ConfigError: no limit, one that is none, or two that are the same.
        """
        from gnnrl.network.cost import name_limit

        shared = {name: getattr(self, name) for name in Job.__dataclass_fields__}
        names = {limit: name_limit(limit) for limit in self.limits}
        if not names or len({*names.values()}) < len(self.limits):
            raise ConfigError(f"a sweep needs limits, each of them once; got {', '.join(self.limits) or 'none'}")
        return [Job(**{**shared, "constraint": limit, "out": self.out / names[limit]}) for limit in self.limits]


def prepare(
    job: Job, narrator: Narrator, *, trained: bool = True, ledger: "Ledger | None" = None
) -> tuple[Fed, "Network"]:
    """Load and trace the network, and refuse what can be refused before any data is read.

    Args:
        trained: whether the network needs its weights.
        ledger: times that are known, where latency is limited.
    """
    check_settings(job, trained=trained)
    fed = load_network(job.source, job.device, narrator)
    if job.finetune_epochs and not any(parameter.requires_grad for parameter in fed.model.parameters()):
        raise ConfigError(
            f"no parameter of {job.source.model} can be trained (requires_grad is False everywhere); let the factory "
            "call model.requires_grad_(True), or give --finetune-epochs 0"
        )
    return fed, refuse_unreachable(job, fed, narrator, ledger)


def check_written(job: Job) -> None:
    """Refuse what is wrong as it is written, before PyTorch is loaded: files, device, limit, rules.

    Raises:
        ConfigError, ArtifactError, DataError: what is wrong.
    """
    from gnnrl.network.cost import Constraint

    check_named(job.source, job.data, job.device)
    Constraint.parse(job.constraint)
    job.widths.rules()


def check_settings(job: Job, *, trained: bool = True) -> None:
    """Refuse what needs neither network nor data to be seen as wrong."""
    from gnnrl.searchers.table import find_searcher
    from gnnrl.zoo.models import input_spec

    check_device(job.device)
    find_searcher(job.searcher)
    executor_of(job)
    source = job.source
    if ":" not in source.model:
        input_spec(source.model)
    if trained and not (source.weights or source.pretrained or is_own(source.model)):
        raise ConfigError(
            f"{source.model} has random weights: give --weights FILE, or --pretrained where its authors publish some"
        )


def refuse_unreachable(job: Job, fed: Fed, narrator: Narrator, ledger: "Ledger | None" = None) -> "Network":
    """Trace the network and check that the limit can be met, before any data is read.

    Raises:
        ConfigError, TraceError, UnreachableConstraint: what is wrong with network, limit or rules.
    """
    from gnnrl.network.tracing.tracer import trace

    narrator.begin("tracing")
    inputs = tuple(value.to(job.device) for value in fed.example_inputs)
    network = timed(trace(fed.model, inputs), job.constraint, fed.model, inputs, narrator, ledger)
    refuse_unmet(job, network)
    dense = network.cost.measure(network.widths)
    groups = f"{len(network.groups)} groups of channels can shrink"
    narrator.note("; ".join(filter(None, [f"{dense.macs:,} MACs, {groups}", job.widths.facts(network)["rounding"]])))
    return network


def refuse_unmet(job: Job, network: "Network") -> None:
    """Refuse a limit that no plan meets, or that the network is within already.

    Raises:
        ConfigError, UnreachableConstraint: the limit, or the rules, and what would do.
    """
    from gnnrl.pruning.projection import Projection
    from gnnrl.pruning.unreachable import explain_met

    projection = Projection.build(network, job.constraint, job.widths.rules())
    if projection.holds(network.widths):
        raise ConfigError(explain_met(network, projection.budget))


def timed(
    network: "Network",
    constraint: str,
    model: "nn.Module",
    inputs: Any,
    narrator: Narrator,
    ledger: "Ledger | None" = None,
) -> "Network":
    """The network with a latency, where that is limited."""
    from gnnrl.latency.agreement import limits_latency
    from gnnrl.latency.measurement import measure_latency

    if not limits_latency(constraint):
        return network
    narrator.begin(*STAGES["latency"])
    return measure_latency(model, network, inputs, progress=narrator.advance, ledger=ledger)


def tell_stage(stage: str, narrator: Narrator) -> None:
    """Begin a stage of `compress` in its own words; those that were done before are not told again."""
    if stage in STAGES:
        narrator.begin(*STAGES[stage])


def searching(
    job: Job, fed: Fed, data: "DataSplits", narrator: Narrator, best: "Best", session: Session
) -> dict[str, Any]:
    """What one search is asked beside `shared_arguments`, as `compress` names it."""

    def begin(stage: str) -> None:
        session.enter(stage)
        if stage == "verify":
            best.finish()
        tell_stage(stage, narrator)

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
        "on_calibration": narrator.advance,
        "run": session.directory,
    }


def shared_arguments(job: Job, model: "nn.Module", network: "Network", data: "DataSplits") -> dict[str, Any]:
    """What a search and a comparison of searches are both asked, as `compress` and `compare` name it."""
    from gnnrl.scoring.classes import ClassTally
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
        self._best, self._judged = -math.inf, 0

    def restart(self) -> None:
        """Forget the plans so far."""
        self._best, self._judged = -math.inf, 0

    def finish(self) -> None:
        """Tell where a search has ended before its last plan."""
        if 0 < self._judged < self._total:
            self._narrator.note(f"ended after {self._judged:,} of {self._total:,} plans: it met only known ones")

    def __call__(self, trial: "Trial") -> None:
        """Tell."""
        self._best = max(self._best, trial.score)
        self._judged = trial.number + 1
        self._narrator.advance(self._judged, self._total, f"best {show_score(self._metric, self._best)}")


def show_score(metric: Metric, score: float) -> str:
    """Write a reward as people know it."""
    return f"top-1 {score:.2%}" if metric == "top1" else f"{metric} {-score:.4f}"
