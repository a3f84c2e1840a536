"""A job that is done: its result saved, what is said of it, and what can be done with it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gnnrl.cli.console import Narrator
from gnnrl.cli.jobs import Job, Prepared, prepare
from gnnrl.cli.runs import Session
from gnnrl.cli.saved import is_code, source_facts

if TYPE_CHECKING:
    from gnnrl.compression.result import CompressionResult


def run_job(job: Job, narrator: Narrator, session: Session) -> dict[str, Any]:
    """Compress, save, and return all facts that `--json` prints; the run is over then.

    Raises:
        GnnrlError: see `gnnrl.errors`.
    """
    work = prepare(job, narrator, [job.constraint], session)
    test = work.test
    result = work.study.compress(work.goal, work.search(session), test=test, run=session.directory)
    return save_result(job, work, result, session)


def save_result(
    job: Job,
    work: Prepared,
    result: "CompressionResult",
    session: Session,
    note: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> dict[str, Any]:
    """Write a result, end its run, and return all facts of it.

    Args:
        job: whose result it is, one of a sweep's maybe.
        note: called with the facts before the result is there.
    """
    session.enter("save")
    facts = facts_of(job, work, result)
    note(facts)
    about = {**facts, "commands": next_commands(job)}
    source = source_facts(job.source, work.fed, job.data)
    result.save(job.out, about=about, source=source, records=session.directory.records, force=job.force)
    session.directory.remove()
    return {**facts, "out": str(job.out)}


def facts_of(job: Job, work: Prepared, result: "CompressionResult") -> dict[str, Any]:
    """What `--json` prints of a result; speed is measured here."""
    import torch
    from safetensors.torch import save

    from gnnrl.artifacts.bundle import tensors
    from gnnrl.cli.speed import measure_speed

    fed, data = work.fed, work.data
    work.narrator.begin("measuring speed")
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
        "limits": [{**asdict(asked), "is_met": asked.is_met} for asked in result.limits],
        "score": result.score,
        "kept": result.kept,
        "doubt": result.doubt,
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


def next_commands(job: Job) -> list[list[str]]:
    """Commands that evaluate, export and report the result; code has to be named again."""
    named = [
        ["--" + name, value] if is_code(name, value) else []
        for name, value in (("model", job.source.model), ("data", job.data))
    ]
    return [
        ["gnnrl", "evaluate", str(job.out), *named[0], *named[1]],
        ["gnnrl", "export", str(job.out), *named[0], "--out", f"{job.out.name}.onnx"],
        ["gnnrl", "report", str(job.out)],
    ]
