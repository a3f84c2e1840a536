"""Compression as the command line asks for it. Jobs are light: they are checked before PyTorch is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from gnnrl.cli.completion import each_of
from gnnrl.cli.inputs import Source, check_named
from gnnrl.cli.options import (
    CLOSED_FORMS,
    SEARCHERS,
    SEARCHES,
    DataOption,
    ForceOption,
    check_searcher,
    option,
    search,
    start,
    tuning,
)
from gnnrl.cli.training import Training
from gnnrl.cli.width_rules import Widths
from gnnrl.errors import ConfigError

if TYPE_CHECKING:
    from gnnrl.scoring.plans import Executor

Importance = Literal["curves", "l1", "l2", "bn_scale", "taylor", "random"]
Repair = Literal["ls", "bn", "none"]
Metric = Literal["top1", "loss", "kl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where plans are scored; each field is an option. No result depends on it."""

    executor: Annotated[
        Literal["serial", "process", "ray"],
        search("Where plans are scored: here, in --workers processes, or on a Ray cluster."),
    ] = "serial"
    workers: Annotated[int | None, search("Plans scored at once. Default: one for each processor.", min=1)] = None
    address: Annotated[
        str | None, search("A running Ray cluster. Default: one on this machine.", metavar="HOST:PORT|auto")
    ] = None

    def find(self) -> "Executor":
        """Return the executor; workers without an executor stand for processes."""
        from gnnrl.executors.table import find_executor

        is_parallel = self.executor == "serial" and (self.workers or 1) > 1
        return find_executor("process" if is_parallel else self.executor, workers=self.workers, address=self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Training):
    """The settings of a compression; each field is an option of `gnnrl prune`."""

    source: Source
    data: DataOption
    constraint: Annotated[
        str,
        start(
            "Limit on macs, params, bytes, activations (their peak) or latency: a share (latency<=60%) or an amount "
            "(params<=1.5M, latency<=5ms), several joined by commas; @ENGINE[:PRECISION] after a latency: onnxruntime, "
            "openvino, compile, or file.py:Class. Quote it: the shell reads < itself.",
            metavar="LIMIT",
        ),
    ] = "macs<=50%"
    out: Annotated[Path, start("Where the result goes; empty or new.", "--out", metavar="DIR")] = Path("gnnrl-out")
    force: ForceOption = False
    untrained: Annotated[bool, option("Prune a network without trained weights.", "--untrained")] = False
    searcher: Annotated[
        str,
        search(
            f"ppo: the graph policy. Others: {', '.join(SEARCHES[1:])}. Without a search: {', '.join(CLOSED_FORMS)}. "
            "Your own: file.py:function or package.module:function.",
            callback=check_searcher,
            autocompletion=each_of(SEARCHERS),
            metavar="NAME",
        ),
    ] = "ppo"
    episodes: Annotated[int, search("Plans that the search may score on reward images.", min=1, max=1_000_000)] = 150
    importance: Annotated[Importance, search("Criterion that ranks the channels of a layer.")] = "curves"
    repair: Annotated[
        Repair, search("Repair before a score: least squares and batch normalisation (ls), or bn alone.")
    ] = "ls"
    metric: Annotated[
        Metric,
        search("The reward. loss: of the labels; kl: divergence from the dense outputs, best for similar plans."),
    ] = "top1"
    reward_images: Annotated[
        int | None, search("Images used to score a plan. With --metric kl, 1,000 are enough.", min=1)
    ] = None
    calibration_images: Annotated[int, search("Training images for importance and repair.", min=2)] = 500
    keep_finetuned: Annotated[
        bool, tuning("Save the fine-tuned network even if it is worse than the repaired one.", "--keep-finetuned")
    ] = False
    place: Place = field(default_factory=Place)
    widths: Widths = field(default_factory=Widths)

    def jobs(self) -> "list[Job]":
        """Return a job for each limit: this one."""
        return [self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Job):
    """A compression to several limits, with a folder in `out` for each."""

    limits: tuple[str, ...]

    @classmethod
    def of(cls, job: Job, limits: tuple[str, ...]) -> "Sweep":
        """Give a job several limits instead of its own."""
        return cls(**_settings(job), limits=limits)

    def jobs(self) -> list[Job]:
        """Return a job for each limit; raise ConfigError if there is none, or one twice."""
        from gnnrl.network.limits import name_limit

        names = {limit: name_limit(limit) for limit in self.limits}
        if not names or len({*names.values()}) < len(self.limits):
            raise ConfigError(f"a sweep needs limits, each of them once; got {', '.join(self.limits) or 'none'}")
        shared = _settings(self)
        return [Job(**{**shared, "constraint": limit, "out": self.out / name}) for limit, name in names.items()]


def _settings(job: Job) -> Mapping[str, Any]:
    return {each.name: getattr(job, each.name) for each in fields(Job)}


def check_written(job: Job) -> None:
    """Refuse wrong files, devices, limits and rules before PyTorch is loaded."""
    check_named(job.source, job.data, job.device)
    job.widths.check(job.constraint)


def read_limits(text: str, constraint: str) -> tuple[str, ...]:
    """Return the limits of a sweep; amounts such as `30%` are of the one metric that `--constraint` limits."""
    metrics = [part.partition("<")[0].strip() for part in constraint.split(",")]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if any("<" not in part for part in parts) and len(metrics) > 1:
        raise ConfigError(f"--sweep {text!r}: {constraint} limits several metrics; write macs<=50% instead of 50%")
    limits = [part if "<" in part else f"{metrics[0]}<={part}" for part in parts]
    if not limits or len(set(limits)) < len(limits):
        raise ConfigError(f"--sweep {text!r} needs limits, each of them once, such as 30%,50%,70%")
    return tuple(limits)
