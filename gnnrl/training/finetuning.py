"""How a network is trained further: the only loop over data that changes one.

Shapes and batches are those of `gnnrl.training.judging`.
"""

import math
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.runs.snapshots import Snapshots
from gnnrl.training.averaging import Average
from gnnrl.training.distillation import training_loss
from gnnrl.training.judging import Precision, cross_entropy, logits_of, mode
from gnnrl.training.progress import Epoch, Progress, beginning, copy_state
from gnnrl.training.recipe import Recipe
from gnnrl.training.schedule import Schedule, rate_at
from gnnrl.zoo.batches import Augmentation, Batches, LabelledData, augmented, batched, on_device

OnProgress = Callable[[int, int, float], None]
"""Called after every step with (steps done, steps in all, loss); 0 in all where the number of batches is unknown."""

MOMENTUM = 0.9


@dataclass(frozen=True)
class FinetuneResult:
    """How a fine-tuning went; the network itself was trained in place."""

    history: tuple[Epoch, ...]
    diverged: bool
    """A loss was not finite: training stopped, and the network is as after the epoch of the lowest loss."""
    stopped: bool = False
    """The held-out samples did not get better: training stopped, and the network is as after its best epoch."""


def finetune(
    model: nn.Module,
    train_data: LabelledData,
    *,
    epochs: int,
    learning_rate: float = 0.03,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    label_smoothing: float = 0.0,
    schedule: Schedule = "one-cycle",
    augment: Augmentation = "none",
    teacher: nn.Module | None = None,
    distill: float = 0.0,
    temperature: float = 4.0,
    ema: float = 0.0,
    held_out: LabelledData | None = None,
    patience: int = 0,
    seed: int = 0,
    device: str = "cpu",
    precision: Precision = "float32",
    snapshots: str | Path | Snapshots | None = None,
    on_progress: OnProgress | None = None,
) -> FinetuneResult:
    """Train a network in place with stochastic gradient descent and Nesterov momentum; keep the last epoch.

    The same seed, data, device and number of threads give the same weights, also where the training was interrupted
    and goes on from `snapshots`; torch's global generator is left as it was. Weight decay spares biases and
    normalisations. The network is moved to the device, its modes are restored.

    Args:
        epochs: passes over the data, at least 1.
        learning_rate: the highest of the schedule.
        batch_size: ignored where `train_data` yields batches.
        schedule: "one-cycle" climbs for 30 % of the steps and falls to zero along a cosine, "cosine" only falls.
        augment: "crop" shifts images by up to an eighth of their size, "flip-crop" mirrors half of them, too.
        teacher: the dense network, on the same device; it is not changed.
        distill: weight of what the teacher says against the labels, in [0, 1]; see `training_loss`.
        temperature: of the distillation.
        ema: decay of an average of the weights, such as 0.999, which the network is given at the end; 0 for none.
        held_out: samples to watch after each epoch, neither trained on nor tested on; the best epoch is kept.
        patience: epochs without a better one on `held_out` after which training stops; 0 to go to the end.
        precision: "bfloat16" computes layers in half the bits where that is safe; weights stay as they are.
        snapshots: a folder that keeps the state after each epoch; called again with the same arguments, training goes
            on from there. The order of batches is kept where it is drawn from torch's global generator.

    Raises:
        ConfigError: a setting is out of its range, no parameter can be trained, or the snapshots are of another
            training.
        DataError: as `top1`.
        EvaluationError: a loss of the first epoch was not finite; the network is as it was.
        ResourceError: a snapshot cannot be written; those before it are intact.
    """
    recipe = Recipe(
        epochs,
        learning_rate,
        batch_size,
        weight_decay,
        label_smoothing,
        schedule,
        augment,
        distill,
        temperature,
        ema,
        patience,
        seed,
        device,
        precision,
    )
    recipe.check(model, has_teacher=teacher is not None, is_watched=held_out is not None)
    batches = batched(train_data, batch_size, shuffle=True)
    watched = None if held_out is None else batched(held_out, batch_size)
    kept = Snapshots(snapshots) if isinstance(snapshots, str | Path) else snapshots
    guide = teacher.to(device) if teacher is not None and distill else None
    with torch.random.fork_rng([] if device == "cpu" else None), mode(model, training=True):
        torch.manual_seed(seed)
        return _Training(recipe, batches, guide, watched, kept, on_progress).run(model.to(device))


@dataclass(frozen=True)
class _Training:
    """What a training works with."""

    recipe: Recipe
    batches: Batches
    teacher: nn.Module | None
    watched: Batches | None
    snapshots: Snapshots | None
    on_progress: OnProgress | None

    def run(self, model: nn.Module) -> FinetuneResult:
        """Train, from the newest snapshot on."""
        recipe, steps = self.recipe, len(self.batches) if isinstance(self.batches, Sized) else 0
        if not steps and recipe.schedule != "constant":
            raise ConfigError(
                f"the schedule {recipe.schedule!r} needs to know how many batches there are; use 'constant'."
            )
        begun = "" if self.snapshots is None else beginning(model, recipe, steps)
        average = Average(model, recipe.ema) if recipe.ema else None
        progress = Progress(model, _optimizer(model, recipe), average, copy_state(model.state_dict()))
        found = None if self.snapshots is None else self.snapshots.latest()
        if found is not None:
            progress.restore(found, begun)
        while len(progress.history) < recipe.epochs and not self._is_over(progress):
            epoch = self._epoch(progress, len(progress.history) + 1, steps)
            if epoch is None or not _is_finite(model):
                return self._diverged(progress)
            progress.close_epoch(self._watch(epoch, progress))
            if self.snapshots is not None:
                progress.save(self.snapshots, begun)
        stopped = self._is_over(progress) and len(progress.history) < recipe.epochs
        model.load_state_dict(progress.best if self.watched is not None else copy_state(progress.state))
        return FinetuneResult(tuple(progress.history), diverged=False, stopped=stopped)

    def _is_over(self, progress: Progress) -> bool:
        patience = self.recipe.patience
        return bool(patience) and len(progress.history) - progress.best_number >= patience

    def _diverged(self, progress: Progress) -> FinetuneResult:
        progress.model.load_state_dict(progress.best)
        if not progress.history:
            what = f"the loss is not finite in the first epoch at learning rate {self.recipe.learning_rate:g}"
            raise EvaluationError(f"{what}; lower it, or look for NaN in the inputs. The network is as it was.")
        return FinetuneResult(tuple(progress.history), diverged=True)

    def _watch(self, epoch: Epoch, progress: Progress) -> Epoch:
        """Judge the weights that count on the held-out samples; leave the network as it is."""
        if self.watched is None:
            return epoch
        model, now = progress.model, copy_state(progress.model.state_dict())
        model.load_state_dict(dict(progress.state))
        with torch.random.fork_rng([] if self.recipe.device == "cpu" else None):
            loss = cross_entropy(model, self.watched, self.recipe.device, precision=self.recipe.precision)
        model.load_state_dict(now)
        return replace(epoch, held_out=loss)

    def _epoch(self, progress: Progress, number: int, steps: int) -> Epoch | None:
        """Run one epoch; None where a loss was not finite."""
        recipe, model = self.recipe, progress.model
        start, rate = time.perf_counter(), recipe.learning_rate
        loss_sum, correct, count = 0.0, 0, 0
        for step, (inputs, labels) in enumerate(on_device(self.batches, recipe.device)):
            if len(labels) == 1 and count > step:
                continue  # a single sample left over has no variance to normalise with
            if steps:
                rate = rate_at((number - 1 + step / steps) / recipe.epochs, recipe.learning_rate, recipe.schedule)
                for group in progress.optimizer.param_groups:
                    group["lr"] = rate
            logits, loss = self._forward(model, _augmented(inputs, recipe.augment), labels)
            value = loss.item()
            if not math.isfinite(value):
                return None
            progress.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            progress.optimizer.step()
            if progress.average is not None:
                progress.average.update(model)
            loss_sum, count = loss_sum + value * len(labels), count + len(labels)
            correct += int((logits.argmax(1) == labels).sum())
            if self.on_progress is not None:
                self.on_progress((number - 1) * steps + step + 1, recipe.epochs * steps, value)
        if not count:
            raise DataError("there are no batches to train on.")
        return Epoch(number, loss_sum / count, correct / count, rate, time.perf_counter() - start)

    def _forward(self, model: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and loss of a batch."""
        recipe, wanted = self.recipe, None
        if self.teacher is not None:
            with torch.no_grad(), mode(self.teacher, training=False):
                wanted = logits_of(self.teacher, inputs, labels, recipe.precision)
        logits = logits_of(model, inputs, labels, recipe.precision)
        loss = training_loss(
            logits,
            labels,
            wanted,
            weight=recipe.distill,
            temperature=recipe.temperature,
            label_smoothing=recipe.label_smoothing,
        )
        return logits, loss


def train_by(function: Callable[[nn.Module], object], model: nn.Module) -> None:
    """Let a function train a network in place, and leave the network in evaluation mode.

    Raises:
        EvaluationError: it left weights that are no finite numbers.
    """
    function(model)
    model.eval()
    damaged = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    if damaged:
        raise EvaluationError(
            f"fine-tuning left NaN or infinite numbers in {damaged[0]} ({len(damaged)} tensors in all): it diverged; "
            "lower its learning rate, or clip its gradients"
        )


def _augmented(inputs: tuple[Tensor, ...], kind: Augmentation) -> tuple[Tensor, ...]:
    if kind != "none" and len(inputs) > 1:
        raise DataError("a network of several inputs is trained as they are: choose augment 'none'.")
    return tuple(augmented(value, kind) for value in inputs)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=MOMENTUM, nesterov=True)


def _is_finite(model: nn.Module) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())
