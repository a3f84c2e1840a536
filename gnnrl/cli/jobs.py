"""A compression as the command line asks for it: checked first, then prepared, then searched."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli import options
from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import (
    EVALUATION_BATCH,
    Fed,
    Source,
    check_device,
    check_named,
    has_weights,
    load_network,
    load_splits,
)
from gnnrl.cli.runs import Session
from gnnrl.cli.training import Training, choose_precision, tune
from gnnrl.cli.width_rules import Widths
from gnnrl.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from gnnrl.compression.goal import Goal
    from gnnrl.compression.search import Search
    from gnnrl.compression.study import Study
    from gnnrl.scoring.classes import ClassTally
    from gnnrl.scoring.plans import Executor
    from gnnrl.zoo.data import DataSplits


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Training):
    """What a compression is asked to do; each field is an option of `gnnrl prune`."""

    source: Source
    data: options.DataOption
    constraint: options.ConstraintOption = "macs<=50%"
    out: options.OutOption = Path("gnnrl-out")
    force: options.ForceOption = False
    untrained: options.UntrainedOption = False
    searcher: options.SearcherOption = "ppo"
    episodes: options.EpisodesOption = 150
    importance: options.ImportanceOption = "curves"
    repair: options.RepairOption = "ls"
    metric: options.MetricOption = "top1"
    reward_images: options.RewardImagesOption = None
    calibration_images: options.CalibrationOption = 500
    executor: options.ExecutorOption = "serial"
    workers: options.WorkersOption = None
    address: options.AddressOption = None
    widths: Widths = field(default_factory=Widths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Job):
    """A compression to several limits, which has a folder in `out` for each."""

    limits: tuple[str, ...]

    def jobs(self) -> list[Job]:
        """A job for each limit.

        Raises:
            ConfigError: no limit, one that is not a limit, or two that are the same.
        """
        from gnnrl.network.cost import name_limit

        shared = {each.name: getattr(self, each.name) for each in fields(Job)}
        names = {limit: name_limit(limit) for limit in self.limits}
        if not names or len({*names.values()}) < len(self.limits):
            raise ConfigError(f"a sweep needs limits, each of them once; got {', '.join(self.limits) or 'none'}")
        return [Job(**{**shared, "constraint": limit, "out": self.out / names[limit]}) for limit in self.limits]


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
    """Refuse what needs neither network nor data to be seen as wrong.

    Args:
        trained: whether the network needs its weights.
    """
    from gnnrl.searchers.table import find_searcher
    from gnnrl.zoo.models import input_spec

    check_device(job.device)
    find_searcher(job.searcher)
    executor_of(job)
    source = job.source
    if ":" not in source.model:
        input_spec(source.model)
    if trained and not job.untrained and not has_weights(source):
        raise ConfigError(
            f"{source.model} has random weights: give --weights FILE, --pretrained where its authors publish some, or "
            "--untrained"
        )


def executor_of(job: Job) -> "Executor":
    """Where a job scores plans; workers alone stand for processes."""
    from gnnrl.executors.table import find_executor

    is_parallel = job.executor == "serial" and (job.workers or 1) > 1
    return find_executor("process" if is_parallel else job.executor, workers=job.workers, address=job.address)


@dataclass(frozen=True)
class Prepared:
    """A job whose network is loaded and traced, and whose limits can be met; its data are read when they are needed."""

    job: Job
    fed: Fed
    study: "Study"
    goals: "Sequence[Goal]"
    narrator: Narrator
    trained: bool = True
    doubts: list[str] = field(default_factory=list)

    @property
    def goal(self) -> "Goal":
        """The only limit, or the first one."""
        return self.goals[0]

    @cached_property
    def data(self) -> "DataSplits":
        """The images; the study takes them as its data."""
        from gnnrl.scoring.measures import evaluator
        from gnnrl.zoo.batches import batched

        job = self.job
        data = load_splits(job.data, self.fed, self.narrator, on_guess=self._doubt)
        teacher = self.fed.model if job.metric == "kl" else None
        reward = evaluator(data.first_reward(job.reward_images), job.metric, teacher=teacher, **self._measuring)
        self.study.provide(reward, batched(data.train, EVALUATION_BATCH), " ".join(self.doubts))
        return data

    def _doubt(self, text: str) -> None:
        """Refuse a network that guesses, or keep the warning for the end."""
        if self.trained and not self.job.untrained:
            raise ConfigError(f"{text} Give --untrained to prune it all the same")
        self.narrator.warn(text)
        self.doubts.append(text)

    @property
    def test(self) -> "ClassTally":
        """What reads the test images."""
        from gnnrl.scoring.classes import ClassTally

        return ClassTally(self.data.test, self.data.classes, **self._measuring)

    @property
    def _measuring(self) -> Any:
        job = self.job
        return {"batch_size": EVALUATION_BATCH, "device": job.device, "precision": choose_precision(job)}

    def search(self, session: Session) -> "Search":
        """How the job searches, and trains what it finds."""
        from gnnrl.compression.search import Search

        job = self.job

        def train(small: "nn.Module") -> None:
            tune(job, small, self.fed.model, self.data, self.narrator, session)

        finetune = train if job.finetune_epochs else None
        return Search(job.searcher, job.episodes, job.seed, finetune, executor_of(job))


def prepare(
    job: Job, narrator: Narrator, limits: Sequence[str], session: Session | None = None, *, trained: bool = True
) -> Prepared:
    """Load and trace the network, and refuse what can be refused before any data are read.

    Args:
        session: the run, which keeps times where latency is limited.
        trained: whether the network needs its weights.

    Raises:
        ConfigError, TraceError, UnreachableConstraint: what is wrong with network, limit or rules.
    """
    from gnnrl.cli.follower import Follower
    from gnnrl.compression.study import Study
    from gnnrl.runs.timings import ledger_of

    check_settings(job, trained=trained)
    fed = load_network(job.source, job.device, narrator)
    if job.finetune_epochs and not any(parameter.requires_grad for parameter in fed.model.parameters()):
        raise ConfigError(
            f"no parameter of {job.source.model} can be trained (requires_grad is False everywhere); let the factory "
            "call model.requires_grad_(True), or give --finetune-epochs 0"
        )
    study = Study(
        fed.model,
        fed.example_inputs,
        rules=job.widths.rules(),
        importance=job.importance,
        repair=job.repair,
        calibration_images=job.calibration_images,
        seed=job.seed,
        observer=Follower(narrator, job.metric, job.episodes, session),
    )
    if session is not None:
        study.timing.use(ledger_of(session.directory))
    goals = study.goals(limits)
    for goal in goals:
        if met := goal.explain_met():
            raise ConfigError(met)
    dense = study.network.cost.measure(study.network.widths)
    groups = f"{len(study.network.groups)} groups of channels can shrink"
    rounding = job.widths.facts(study.network)["rounding"]
    narrator.note("; ".join(filter(None, [f"{dense.macs:,} MACs, {groups}", rounding])))
    return Prepared(job, fed, study, goals, narrator, trained)
