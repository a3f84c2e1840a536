"""The result of a job: searched, saved, measured and reported."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter

import torch
from safetensors.torch import save

from gnnrl.artifacts.bundle import tensors
from gnnrl.cli.command import Outcome
from gnnrl.cli.console import Narrator, stdout
from gnnrl.cli.inspection import Applied
from gnnrl.cli.jobs import Job
from gnnrl.cli.preparing import Prepared, check_settings, prepare
from gnnrl.cli.run_settings import running_job
from gnnrl.cli.runs import Found, Session
from gnnrl.cli.saved import is_code, source_facts
from gnnrl.cli.speed import measure_speed
from gnnrl.cli.tables import show_result
from gnnrl.compression.result import CompressionResult
from gnnrl.report.record import Record

_RECORDED = {
    *("model", "data", "constraint", "score", "kept", "doubt", "test_images", "verified_difference"),
    *("unrepaired", "unsolved"),
    *("macs", "params", "file_bytes", "latency_ms", "images_per_second", "threads"),
}
"""Fields of a record that `--json` prints as they are."""


@dataclass(frozen=True, slots=True)
class Pruned(Outcome):
    """A saved result.

    Attributes:
        latency: how the measured latency meets its limit; None without such a limit.
    """

    record: Record
    rules: Applied
    latency: Mapping[str, float | str] | None
    out: str
    seconds: float

    def facts(self) -> Mapping[str, object]:
        """Return all facts that `--json` prints, and that a sweep keeps."""
        record = self.record
        scores = [trial.score for trial in record.trials]
        return {
            **record.model_dump(include=_RECORDED),
            "limits": [{**asdict(asked), "is_met": asked.is_met} for asked in record.limits],
            "reward": {"metric": record.reward, "first": scores[0], "best": max(scores)},
            "latency_limit": self.latency,
            "layers": [width.model_dump(include={"name", "dense", "pruned"}) for width in record.widths],
            "rules": asdict(self.rules),
            "evaluations": len(scores),
            "stage_seconds": {name: round(seconds, 2) for name, seconds in record.stage_seconds.items()},
            "seed": record.settings["seed"],
            "out": self.out,
            "seconds": self.seconds,
        }

    def show(self) -> None:
        """Print tables and commands."""
        show_result(stdout(), self.record, self.out, self.seconds, self.latency)


def run_job(job: Job, narrator: Narrator, start: float, found: Found | None = None) -> Pruned:
    """Do a job in a run that survives interruptions, a new one or a found one; `start` is when the command started."""
    check_settings(job)
    with running_job(job, narrator, found) as session:
        work = prepare(job, narrator, [job.constraint], session)
        test = work.test
        result = work.study.compress(work.goal, work.search(session), test=test, run=session.directory)
        return save_result(job, work, result, session, start)


def save_result(
    job: Job,
    work: Prepared,
    result: CompressionResult,
    session: Session,
    start: float,
    note: Callable[[Pruned], None] = lambda pruned: None,
) -> Pruned:
    """Measure and save a result, and end its run.

    Args:
        job: the job of the result, which may be one of a sweep's.
        start: when the job was started.
        note: function that is called before the result is saved.
    """
    session.enter("save")
    rules = Applied.to(result.network, job.widths)
    about = {**_about(job, work, result), "rules": asdict(rules), "commands": next_commands(job)}
    latency = None if result.latency is None else result.latency.facts()
    record, seconds = result.record(about), round(perf_counter() - start, 2)
    pruned = Pruned(record, rules, latency, str(job.out), seconds)
    note(pruned)
    source = source_facts(job.source, work.fed, job.data)
    result.save(job.out, about=about, source=source, records=session.directory.records, force=job.force)
    session.directory.remove()
    return pruned


def _about(job: Job, work: Prepared, result: CompressionResult) -> Mapping[str, object]:
    """Measure the speed of both networks; return what only the command line knows of a result."""
    work.narrator.begin("measuring speed")
    start = perf_counter()
    models = {"dense": work.fed.model, "pruned": result.model}
    latency, throughput = measure_speed(models, work.fed.example_inputs[0], job.device)
    return {
        "model": job.source.model,
        "data": job.data,
        "reward": job.metric,
        "file_bytes": {
            stage: len(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors(model).items()}))
            for stage, model in models.items()
        },
        "latency_ms": latency,
        "images_per_second": throughput,
        "threads": torch.get_num_threads(),
        "stage_seconds": {**result.seconds, "speed": perf_counter() - start},
    }


def next_commands(job: Job) -> list[list[str]]:
    """Return commands that evaluate, export and report the result; code must be named again."""
    model, data = (
        [f"--{name}", value] if is_code(name, value) else []
        for name, value in (("model", job.source.model), ("data", job.data))
    )
    return [
        ["gnnrl", "evaluate", str(job.out), *model, *data],
        ["gnnrl", "export", str(job.out), *model, "--out", f"{job.out.name}.onnx"],
        ["gnnrl", "report", str(job.out)],
    ]
