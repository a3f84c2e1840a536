"""A job, prepared for its search: network, limits and rules are checked before the images are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import Any

from torch import nn

from gnnrl.cli.console import Narrator
from gnnrl.cli.follower import Follower
from gnnrl.cli.jobs import Job
from gnnrl.cli.loading import EVALUATION_BATCH, Fed, check_device, load_network, load_splits
from gnnrl.cli.runs import Session
from gnnrl.cli.tuning import tune
from gnnrl.compression.goal import Goal
from gnnrl.compression.search import Search
from gnnrl.compression.study import Study
from gnnrl.engines.table import engines_in, find_target
from gnnrl.errors import ConfigError
from gnnrl.modules.outputs import parse_outputs
from gnnrl.network.limits import Constraint
from gnnrl.pruning.rules import describe_rounding
from gnnrl.scoring.classes import ClassTally
from gnnrl.scoring.measures import evaluator
from gnnrl.searchers.table import find_searcher
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits
from gnnrl.zoo.models import input_spec


def check_settings(job: Job, *, trained: bool = True) -> None:
    """Refuse settings that are wrong whatever the data are; `trained` says whether the network needs its weights."""
    check_device(job.device)
    find_searcher(job.searcher)
    job.place.find()
    for limit in Constraint.parse(job.constraint):
        if limit.engine:
            find_target(limit.engine, engines_in(job.constraint))
    if ":" not in job.source.model:
        input_spec(job.source.model)
    if trained and not job.untrained and not job.source.has_weights:
        raise ConfigError(
            f"{job.source.model} has random weights: give --weights FILE, --pretrained if there are published weights, "
            "or --untrained"
        )


@dataclass(frozen=True)
class Prepared:
    """A job whose network is traced, and whose limits can be met; the images are read when they are needed."""

    job: Job
    fed: Fed
    study: Study
    goals: Sequence[Goal]
    narrator: Narrator
    trained: bool = True
    doubts: list[str] = field(default_factory=list)

    @property
    def goal(self) -> Goal:
        """The first limit."""
        return self.goals[0]

    @cached_property
    def data(self) -> DataSplits:
        """The images; the study gets them as its data."""
        job, start = self.job, perf_counter()
        data = load_splits(job.data, self.fed, self.narrator, self._doubt)
        self.study.clock.add("load", perf_counter() - start)
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
    def test(self) -> ClassTally:
        """The score on the test images."""
        return ClassTally(self.data.test, self.data.classes, **self._measuring)

    @property
    def _measuring(self) -> Any:
        job = self.job
        return {"batch_size": EVALUATION_BATCH, "device": job.device, "precision": job.exact_precision()}

    def search(self, session: Session) -> Search:
        """Return the settings of the search, with the fine-tuning of its result."""
        job = self.job

        def train(small: nn.Module) -> None:
            tune(job, small, self.fed.model, self.data, self.narrator, session)

        finetune = train if job.finetune_epochs else None
        keep = "finetuned" if job.keep_finetuned else "better"
        return Search(job.searcher, job.episodes, job.seed, finetune, job.place.find(), keep)


def prepare(
    job: Job, narrator: Narrator, limits: Sequence[str], session: Session | None = None, *, trained: bool = True
) -> Prepared:
    """Load and trace the network, and refuse what can be refused before any data are read; `session` keeps times."""
    start = perf_counter()
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
        outputs=parse_outputs(job.source.outputs),
        engines={name: engine for limit in limits for name, engine in engines_in(limit).items()},
        importance=job.importance,
        repair=job.repair,
        calibration_images=job.calibration_images,
        seed=job.seed,
        observer=Follower(narrator, job.metric, job.episodes, session),
    )
    study.clock.add("load", perf_counter() - start)
    if session is not None:
        study.keep_times(session.directory)
    goals = study.goals(limits)
    for goal in goals:
        if met := goal.explain_met():
            raise ConfigError(met)
    dense = study.network.cost.measure(study.network.widths)
    groups = f"{len(study.network.groups)} groups of channels can shrink"
    rounding = describe_rounding(study.network, study.rules)
    narrator.note("; ".join(filter(None, [f"{dense.macs:,} MACs, {groups}", rounding])))
    return Prepared(job, fed, study, goals, narrator, trained)
