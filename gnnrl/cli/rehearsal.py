"""`gnnrl prune --dry-run`: what a job works on, what it can reach, how long it takes. Nothing is searched."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

from gnnrl.cli.console import Narrator
from gnnrl.cli.engine import import_engine, limited_threads
from gnnrl.cli.job import Job, check_written, prepare, reward
from gnnrl.cli.sources import Fed, load_splits
from gnnrl.cli.widths import show_rules

if TYPE_CHECKING:
    from gnnrl.zoo.data import DataSplits

_TRAINING_PASS = 3  # a step of training costs about three forward passes


def rehearse(job: Job, narrator: Narrator) -> dict[str, Any]:
    """Do all that comes before the search, and one evaluation of the dense network.

    Raises:
        GnnrlError: whatever the job itself would be refused for.
    """
    check_written(job)
    import_engine(narrator)
    with limited_threads(job.threads):
        from gnnrl.network.cost import Budget
        from gnnrl.network.description import Description

        fed, network = prepare(job, narrator, trained=False)
        data = load_splits(job.data, fed, narrator)
        description = Description.of(network, job.widths.rules().ladders(network))
        return {
            "model": job.source.model,
            "data": job.data,
            "constraint": job.constraint,
            "limits": dict(Budget.of(job.constraint, description.dense).limits),
            **description.to_dict(),
            "rules": job.widths.facts(network),
            "images": {"train": len(data.train), "reward": len(data.reward), "test": len(data.test)},
            "estimated_seconds": _estimate(job, fed, data, narrator),
            "text": str(description),
        }


def _estimate(job: Job, fed: Fed, data: "DataSplits", narrator: Narrator) -> dict[str, float]:
    """Seconds of the stages, from one evaluation of the dense network on the reward images.

    Pruned networks are taken to be as slow as the dense one, the repair for one pass over the calibration images.
    """
    from gnnrl.searchers.table import evaluations_of

    narrator.begin("timing one evaluation")
    judge = reward(job, fed.model, data)
    start = perf_counter()
    judge(fed.model)
    once = perf_counter() - start
    image = once / max(len(data.judging(job.reward_images)), 1)
    calibration = image * min(job.calibration_images, len(data.train))
    candidates = evaluations_of(job.searcher, job.episodes)
    seconds = {
        "evaluation": once,
        "search": candidates * (once + (calibration if job.repair != "none" else 0)),
        "finetune": job.finetune_epochs * _TRAINING_PASS * image * len(data.train),
        "test": (4 if job.finetune_epochs else 3) * image * len(data.test),
    }
    return {name: round(value, 2) for name, value in seconds.items()}


def show_rehearsal(facts: dict[str, Any]) -> str:
    """Write the facts down in 80 columns."""
    from gnnrl.network.cost import show_amount

    seconds = facts["estimated_seconds"]
    total = seconds["search"] + seconds["finetune"] + seconds["test"]
    limits = ", ".join(f"{metric}<={show_amount(metric, limit)}" for metric, limit in facts["limits"].items())
    return "\n".join(
        [
            facts["text"],
            "",
            *show_rules(facts["rules"]),
            f"The limit {facts['constraint']} ({limits}) can be met.",
            f"Time: about {_duration(total)} after calibration: search {_duration(seconds['search'])}, fine-tuning "
            f"{_duration(seconds['finetune'])}, test {_duration(seconds['test'])};",
            f"  one evaluation of the dense network took {seconds['evaluation']:.2f} s. Nothing was written.",
        ]
    )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
