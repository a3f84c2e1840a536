"""`gnnrl prune --dry-run`: what a job works on, what it can reach, how long it takes: all but search and training.

One plan is judged, the closed form's, so that its time and what it reaches are measured.
"""

from textwrap import wrap
from time import perf_counter
from typing import Any

from gnnrl.cli.console import Narrator, Stopwatch
from gnnrl.cli.inputs import has_weights
from gnnrl.cli.jobs import Job, Prepared, check_written, executor_of, prepare
from gnnrl.cli.runs import telling_warnings
from gnnrl.cli.startup import import_engine, limited_threads
from gnnrl.cli.width_rules import show_rules
from gnnrl.report.names import plural
from gnnrl.storage.layout import check_target

_TRAINING_PASS = 3  # a step of training costs about three forward passes


def rehearse(job: Job, narrator: Narrator) -> dict[str, Any]:
    """Do all that comes before the search, and judge the closed form's plan.

    Raises:
        GnnrlError: whatever the job itself would be refused for.
    """
    watch = Stopwatch()
    check_written(job)
    check_target(job.out, force=job.force)
    import_engine(narrator)
    with limited_threads(job.threads):
        from gnnrl.network.description import Description

        work = prepare(job, narrator, [job.constraint], trained=False)
        data, network = work.data, work.goal.network
        description = Description.of(network, work.study.rules.ladders(network))
        return {
            "model": job.source.model,
            "data": job.data,
            "constraint": job.constraint,
            "limits": dict(work.goal.projection.budget.limits),
            **description.to_dict(),
            "rules": job.widths.facts(network),
            "images": {"train": len(data.train), "reward": len(data.reward), "test": len(data.test)},
            **_measured(work, narrator, watch),
            "text": str(description),
        }


def _measured(work: Prepared, narrator: Narrator, watch: Stopwatch) -> dict[str, Any]:
    """Seconds of the stages, and the reward of a closed form where the network has weights.

    All that comes before the search and one plan are measured; all plans are taken to cost what that one does, and a
    step of training three forward passes.
    """
    from gnnrl.compression.search import Search
    from gnnrl.searchers.table import CLOSED_FORM, evaluations_of

    job, study, data = work.job, work.study, work.data
    forward: list[float] = []
    judge = study.evaluate

    def timed(model: Any) -> float:
        start = perf_counter()
        score = judge(model)
        forward.append(perf_counter() - start)
        return score

    with telling_warnings(narrator):
        study.provide(timed, study.calibration)
        dense = study.evidence.dense
        prepared = watch.seconds()
        narrator.begin("judging one plan")
        closed = job.searcher if job.searcher in CLOSED_FORM else "curves"
        search = Search(closed, 1, job.seed)
        found = search.run(study.task(work.goal, 1)).best
    once = watch.seconds() - prepared
    image = min(forward) / max(len(data.first_reward(job.reward_images)), 1)
    plans = evaluations_of(job.searcher, job.episodes)
    workers = getattr(executor_of(job), "workers", 1) or 1
    seconds = {
        "preparation": prepared,
        "evaluation": once,
        "search": plans * once / workers,
        "finetune": job.finetune_epochs * _TRAINING_PASS * image * len(data.train),
        "test": (4 if job.finetune_epochs else 3) * image * len(data.test),
    }
    trained = has_weights(job.source)
    return {
        "evaluations": plans,
        "metric": job.metric,
        "closed_form": {"searcher": closed, "dense": dense, "reward": found.score} if trained else None,
        "estimated_seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def show_rehearsal(facts: dict[str, Any]) -> str:
    """Write the facts down in 80 columns."""
    from gnnrl.network.cost import show_amount

    seconds = facts["estimated_seconds"]
    total = sum(value for name, value in seconds.items() if name != "evaluation")
    limits = ", ".join(f"{metric}<={show_amount(metric, limit)}" for metric, limit in facts["limits"].items())
    plans = f"{plural(facts['evaluations'], 'plan')} of {seconds['evaluation']:.2g} s, and the searcher's own time"
    lines = [
        f"The limit {facts['constraint']} ({limits}) can be met.",
        *_show_closed_form(facts),
        f"Time: about {_duration(total)}: preparation {_duration(seconds['preparation'])}, search "
        f"{_duration(seconds['search'])} ({plans}), fine-tuning {_duration(seconds['finetune'])}, test "
        f"{_duration(seconds['test'])}. Nothing was written.",
    ]
    told = [part for line in lines for part in wrap(line, 80, subsequent_indent="  ", break_on_hyphens=False)]
    return "\n".join([facts["text"], "", *show_rules(facts["rules"]), *told])


def _show_closed_form(facts: dict[str, Any]) -> list[str]:
    found = facts["closed_form"]
    if found is None:
        return []
    from gnnrl.cli.follower import show_score

    dense, reached = (show_score(facts["metric"], found[name]) for name in ("dense", "reward"))
    told = f"The plan of {found['searcher']}, without search and fine-tuning: {reached} on the reward images"
    return [f"{told}." if facts["metric"] == "kl" else f"{told}, dense {dense}."]


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
