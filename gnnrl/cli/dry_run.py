"""`gnnrl prune --dry-run`: everything but the search and fine-tuning, and the time that these would take.

The closed-form plan is scored, so its time and its score are measured.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from time import perf_counter

from torch import nn

from gnnrl.cli.console import Narrator
from gnnrl.cli.follower import show_score
from gnnrl.cli.inspection import Applied, Inspected
from gnnrl.cli.jobs import Job
from gnnrl.cli.preparing import Prepared, check_settings, prepare
from gnnrl.cli.runs import showing_warnings
from gnnrl.compression.search import Search
from gnnrl.network.description import Description
from gnnrl.report.names import duration, plural
from gnnrl.searchers.table import CLOSED_FORM, evaluations_of

_TRAINING_PASS = 3  # a step of training costs about three forward passes


@dataclass(frozen=True)
class ClosedForm:
    """Rewards of a closed-form plan and of the dense network."""

    searcher: str
    dense: float
    reward: float


@dataclass(frozen=True, kw_only=True)
class Rehearsal(Inspected):
    """The limit that a job can reach, and the time that it takes.

    Attributes:
        images: number of images of each split.
        evaluations: number of plans that the search would score.
        closed_form: None if the network has no trained weights.
        estimated_seconds: by stage; `evaluation` is the time of one plan.
    """

    data: str
    images: Mapping[str, int]
    evaluations: int
    metric: str
    closed_form: ClosedForm | None
    estimated_seconds: Mapping[str, float]

    def facts(self) -> Mapping[str, object]:
        """Return all fields, with those of the description among them."""
        own = {name: value for name, value in asdict(self).items() if name not in ("budget", "description")}
        return {**own, **super().facts(), "text": str(self.description)}

    def sentences(self) -> list[str]:
        """Add the score of the closed-form plan, and the time."""
        found, seconds = super().sentences(), self.estimated_seconds
        if form := self.closed_form:
            dense, reached = (show_score(self.metric, score) for score in (form.dense, form.reward))
            text = f"The plan of {form.searcher}, without search and fine-tuning: {reached} on the reward images"
            found.append(f"{text}." if self.metric == "kl" else f"{text}, dense {dense}.")
        total = sum(value for name, value in seconds.items() if name != "evaluation")
        plans = f"{plural(self.evaluations, 'plan')} of {seconds['evaluation']:.2g} s, and the searcher's own time"
        found.append(
            f"Time: about {duration(total)}: preparation {duration(seconds['preparation'])}, search "
            f"{duration(seconds['search'])} ({plans}), fine-tuning {duration(seconds['finetune'])}, test "
            f"{duration(seconds['test'])}. Nothing was written."
        )
        return found


def rehearse(job: Job, narrator: Narrator, start: float) -> Rehearsal:
    """Do everything that comes before the search, and score the closed-form plan.

    All plans are assumed to take as long as that one, and a step of training three forward passes.

    Args:
        start: when the command was started.
    """
    check_settings(job, trained=False)
    work = prepare(job, narrator, [job.constraint], trained=False)
    data, network = work.data, work.goal.network
    form, image, prepared, once = _score_one(work)
    plans = evaluations_of(job.searcher, job.episodes)
    workers = getattr(job.place.find(), "workers", 1) or 1
    seconds = {
        "preparation": prepared - start,
        "evaluation": once,
        "search": plans * once / workers,
        "finetune": job.finetune_epochs * _TRAINING_PASS * image * len(data.train),
        "test": (4 if job.finetune_epochs else 3) * image * len(data.test),
    }
    return Rehearsal(
        model=job.source.model,
        constraint=job.constraint,
        budget=work.goal.projection.budget,
        description=Description.of(network, work.study.rules.ladders(network)),
        rules=Applied.to(network, job.widths),
        data=job.data,
        images={"train": len(data.train), "reward": len(data.reward), "test": len(data.test)},
        evaluations=plans,
        metric=job.metric,
        closed_form=form if job.source.has_weights else None,
        estimated_seconds={name: round(value, 2) for name, value in seconds.items()},
    )


def _score_one(work: Prepared) -> tuple[ClosedForm, float, float, float]:
    """Score a closed-form plan; return it, the seconds of one image, when the plan was started, and its seconds."""
    job, study = work.job, work.study
    forward: list[float] = []
    score = study.evaluate

    def timed(model: nn.Module) -> float:
        began = perf_counter()
        found = score(model)
        forward.append(perf_counter() - began)
        return found

    with showing_warnings(work.narrator):
        study.provide(timed, study.calibration)
        dense, prepared = study.evidence.dense, perf_counter()
        work.narrator.begin("scoring one plan")
        closed = job.searcher if job.searcher in CLOSED_FORM else "curves"
        best = Search(closed, 1, job.seed).run(study.task(work.goal, 1)).best
    image = min(forward) / max(len(work.data.first_reward(job.reward_images)), 1)
    return ClosedForm(closed, dense, best.score), image, prepared, perf_counter() - prepared
