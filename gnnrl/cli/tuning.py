"""Fine-tuning of a job's small network, and of a saved result."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from gnnrl.artifacts import bundle
from gnnrl.cli import torchrun
from gnnrl.cli.console import Narrator
from gnnrl.cli.loading import Fed, load_network, load_splits
from gnnrl.cli.runs import Session
from gnnrl.cli.saved import source_facts
from gnnrl.cli.training import Training, Tuned, Tuning
from gnnrl.errors import ConfigError, GnnrlError
from gnnrl.report.card import write_documents
from gnnrl.report.record import finetuned, read_record
from gnnrl.runs.interruption import Interruption
from gnnrl.scoring.classes import ClassTally
from gnnrl.storage.layout import HISTORY, check_target
from gnnrl.storage.snapshots import Snapshots
from gnnrl.training import FinetuneResult, OnProgress, finetune
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits


def tune(
    settings: Training,
    model: nn.Module,
    dense: nn.Module,
    data: DataSplits,
    narrator: Narrator,
    session: Session,
) -> FinetuneResult:
    """Train a network in place, starting from the last snapshot of the run, together with the processes that help."""

    def advance(done: int, total: int, loss: float) -> None:
        narrator.advance(done, total, f"loss {loss:.3f}")
        session.interruption.check()

    narrator.begin("fine-tuning" + (f" in {torchrun.size()} processes" if torchrun.size() > 1 else ""), "steps")
    with torchrun.joined():
        result = _train(settings, model, dense, data, session.directory.snapshots(), advance)
    if result.diverged:
        narrator.warn(f"fine-tuning diverged at learning rate {settings.learning_rate:g}; its best epoch is kept")
    if result.stopped:
        narrator.note(f"stopped after {len(result.history)} epochs, the best one is kept")
    return result


def _train(
    settings: Training,
    model: nn.Module,
    dense: nn.Module,
    data: DataSplits,
    snapshots: Snapshots | None,
    on_progress: OnProgress,
) -> FinetuneResult:
    asked = {name: value for name, value in settings.asked().items() if name not in ("finetune_epochs", "threads")}
    are_images = next(iter(batched(data.train, 2)))[0].ndim == 4
    return finetune(
        model,
        data.train,
        epochs=settings.finetune_epochs,
        teacher=dense if settings.distill else None,
        held_out=data.reward if settings.patience else None,
        snapshots=snapshots,
        on_progress=on_progress,
        **asked | {"precision": settings.exact_precision()} | ({} if are_images else {"augment": "none"}),
    )


def check_tuning(job: Tuning) -> None:
    """Refuse what can be refused before anything is written."""
    check_target(job.out, force=job.force)
    bundle.read_manifest(job.result)
    if job.distill and not job.source.has_weights:
        raise ConfigError("--distill needs the dense network's weights: give --weights FILE, or --pretrained")


def _load(job: Tuning, narrator: Narrator) -> tuple[Fed, nn.Module, DataSplits]:
    """Load the dense network, the small network and the images."""
    fed = load_network(job.source, job.device, narrator)
    small = bundle.load(fed.model, job.result).requires_grad_(True)
    return fed, small, load_splits(job.data, replace(fed, model=small), narrator)


def tune_result(job: Tuning, narrator: Narrator, session: Session) -> Tuned:
    """Train a saved result further, save the new one, and end the run."""
    fed, small, data = _load(job, narrator)
    session.directory.identify({"result": bundle.read_manifest(job.result)["sha256"], "images": len(data.train)})
    test = ClassTally(data.test, data.classes, device=job.device, precision=job.exact_precision())
    before = test(small)
    session.enter("finetune")
    result = tune(job, small, fed.model, data, narrator, session)
    session.enter("save")
    narrator.begin("testing")
    score = {"before": before, "finetuned": test(small)}
    bundle.save(
        job.out,
        small.eval(),
        bundle.read_plan(job.result),
        {**_manifest(job, score["finetuned"]), "source": source_facts(job.source, fed, job.data)},
        documents=_documents(job, score["finetuned"], test.change(0, 1)),
        force=job.force,
        records=session.directory.records,
    )
    session.directory.remove()
    return Tuned(score, len(result.history), result.diverged, result.stopped, len(data.test), str(job.out))


def help_tuning(job: Tuning) -> int:
    """Compute what process 0 of torchrun asks for; return the exit code, because process 0 reports errors."""
    fed, small, data = _load(job, Narrator())
    interruption = Interruption()
    try:
        with torchrun.joined(), interruption.handled():
            interruption.is_patient = True
            _train(job, small, fed.model, data, None, lambda *_: interruption.check())
    except (GnnrlError, KeyboardInterrupt) as error:
        return int(getattr(error, "exit_code", 130))
    return 0


def _documents(job: Tuning, score: float, classes: Mapping[str, Any]) -> dict[str, str]:
    """Return the updated report and card; none if the result was saved without a history."""
    if not (job.result / HISTORY).is_file():
        return {}
    return write_documents(finetuned(read_record(job.result), score, classes), str(job.out))


def _manifest(job: Tuning, score: float) -> Mapping[str, object]:
    """Return the facts of the result's manifest, updated by this training."""
    own = {
        name: value
        for name, value in bundle.read_manifest(job.result).items()
        if name not in ("format", "class", "sha256")
    }
    scores = {**own.get("score", {}), "finetuned": score}
    return {**own, "score": scores, "kept": "finetuned", "finetuning": job.asked()}
