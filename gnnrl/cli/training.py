"""Fine-tuning as the command line asks for it: of a job's small network, and of a saved result."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnrl.cli import options, torchrun, training_options
from gnnrl.cli.console import Narrator, Silent
from gnnrl.cli.inputs import Source, has_weights, load_network, load_splits
from gnnrl.cli.runs import Session
from gnnrl.cli.saved import source_facts
from gnnrl.errors import ConfigError, GnnrlError
from gnnrl.runs.interruption import Interruption

if TYPE_CHECKING:
    from torch import nn

    from gnnrl.storage.snapshots import Snapshots
    from gnnrl.training import FinetuneResult, OnProgress
    from gnnrl.zoo.data import DataSplits


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a network is trained further; each field is an option."""

    finetune_epochs: training_options.FinetuneOption = 3
    learning_rate: training_options.LearningRateOption = 0.03
    batch_size: training_options.BatchSizeOption = 128
    augment: training_options.AugmentOption = "crop"
    label_smoothing: training_options.SmoothingOption = 0.0
    distill: training_options.DistillOption = 0.0
    temperature: training_options.TemperatureOption = 4.0
    ema: training_options.EmaOption = 0.0
    patience: training_options.PatienceOption = 0
    precision: options.PrecisionOption = "float32"
    seed: options.SeedOption = 0
    device: options.DeviceOption = "cpu"
    threads: options.ThreadsOption = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning(Training):
    """What `gnnrl finetune` is asked to do; each field is an option."""

    source: Source
    data: options.DataOption
    result: Path
    out: Path
    force: options.ForceOption = False
    finetune_epochs: training_options.EpochsOption = 10


def tune(
    settings: Training,
    model: "nn.Module",
    dense: "nn.Module",
    data: "DataSplits",
    narrator: Narrator,
    session: Session,
) -> "FinetuneResult":
    """Train a network in place, from the last snapshot of the run on; together with the processes that help."""

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
    model: "nn.Module",
    dense: "nn.Module",
    data: "DataSplits",
    snapshots: "Snapshots | None",
    on_progress: "OnProgress",
) -> "FinetuneResult":
    from gnnrl.training import finetune
    from gnnrl.zoo.batches import batched

    are_images = next(iter(batched(data.train, 2)))[0].ndim == 4
    return finetune(
        model,
        data.train,
        epochs=settings.finetune_epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        label_smoothing=settings.label_smoothing,
        augment=settings.augment if are_images else "none",
        teacher=dense if settings.distill else None,
        distill=settings.distill,
        temperature=settings.temperature,
        ema=settings.ema,
        held_out=data.reward if settings.patience else None,
        patience=settings.patience,
        seed=settings.seed,
        device=settings.device,
        precision=choose_precision(settings),
        snapshots=snapshots,
        on_progress=on_progress,
    )


def choose_precision(settings: Training) -> Any:
    """Choose bfloat16 where the machine computes in it, and only then."""
    import torch

    if settings.precision != "auto":
        return settings.precision
    if torch.device(settings.device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    abilities = torch.cpu.get_capabilities()
    return "bfloat16" if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else "float32"


def check_tuning(job: Tuning) -> None:
    """Refuse what can be refused before anything is written."""
    from gnnrl.artifacts import bundle
    from gnnrl.storage.layout import check_target

    check_target(job.out, force=job.force)
    bundle.read_manifest(job.result)
    source = job.source
    if job.distill and not has_weights(source):
        raise ConfigError("--distill needs the dense network's weights: give --weights FILE, or --pretrained")


def tune_result(job: Tuning, narrator: Narrator, session: Session) -> dict[str, Any]:
    """Train a saved result further, save it, and return all facts that `--json` prints; the run is over then.

    Raises:
        GnnrlError: see `gnnrl.errors`.
    """
    from gnnrl.artifacts import bundle
    from gnnrl.scoring.classes import ClassTally

    fed = load_network(job.source, job.device, narrator)
    small = bundle.load(fed.model, job.result).requires_grad_(True)
    data = load_splits(job.data, fed, narrator, judged=small)
    session.directory.identify({"result": bundle.read_manifest(job.result)["sha256"], "images": len(data.train)})
    judge = ClassTally(data.test, data.classes, device=job.device, precision=choose_precision(job))
    before = judge(small)
    session.enter("finetune")
    result = tune(job, small, fed.model, data, narrator, session)
    session.enter("save")
    narrator.begin("testing")
    score = {"before": before, "finetuned": judge(small)}
    told = {"score": score, "epochs": len(result.history), "diverged": result.diverged, "stopped": result.stopped}
    bundle.save(
        job.out,
        small.eval(),
        bundle.read_plan(job.result),
        {**_facts(job, told), "source": source_facts(job.source, fed, job.data)},
        documents=_documents(job, score["finetuned"], judge.change(0, 1)),
        force=job.force,
        records=session.directory.records,
    )
    session.directory.remove()
    return {**told, "test_images": len(data.test), "out": str(job.out)}


def help_tuning(job: Tuning) -> int:
    """Compute what process 0 of torchrun asks for; return an exit code, for it says itself what went wrong.

    Raises:
        GnnrlError: network or data cannot be loaded here.
    """
    from gnnrl.artifacts import bundle

    fed = load_network(job.source, job.device, Silent())
    small = bundle.load(fed.model, job.result).requires_grad_(True)
    data = load_splits(job.data, fed, Silent(), judged=small)
    interruption = Interruption()
    try:
        with torchrun.joined(), interruption.handled():
            interruption.is_patient = True
            _train(job, small, fed.model, data, None, lambda *_: interruption.check())
    except (GnnrlError, KeyboardInterrupt) as error:
        return int(getattr(error, "exit_code", 130))
    return 0


def _documents(job: Tuning, score: float, classes: dict[str, Any]) -> dict[str, str]:
    """The report and the card of the result, brought up to date; none where it was saved without a history."""
    from gnnrl.report.card import write_documents
    from gnnrl.report.record import finetuned, read_record
    from gnnrl.storage.layout import HISTORY

    if not (job.result / HISTORY).is_file():
        return {}
    return write_documents(finetuned(read_record(job.result), score, classes), str(job.out))


def _facts(job: Tuning, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says: that of the result, and how it was trained further."""
    from gnnrl.artifacts.bundle import read_manifest

    own = {
        name: value for name, value in read_manifest(job.result).items() if name not in ("format", "class", "sha256")
    }
    settings = {name: value for name, value in asdict(job).items() if name in Training.__dataclass_fields__}
    return {
        **own,
        "score": {**own.get("score", {}), "finetuned": told["score"]["finetuned"]},
        "kept": "finetuned",
        "finetuning": settings,
    }
