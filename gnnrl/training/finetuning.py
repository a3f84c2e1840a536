"""Fine-tuning: the only loop over data that changes a network.

Shapes and batches are those of `gnnrl.scoring.measures`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.modules.modes import evaluating, mode
from gnnrl.scoring.measures import cross_entropy, logits_of
from gnnrl.storage.snapshots import Snapshots
from gnnrl.training.averaging import Average
from gnnrl.training.distillation import training_loss
from gnnrl.training.own_function import EPOCHS, damaged, silent
from gnnrl.training.progress import Epoch, Progress, beginning, check_beginning, copy_state, optimizer_of
from gnnrl.training.recipe import Recipe, rate_at
from gnnrl.training.sharing import END, Computed, Share, shares
from gnnrl.training.team import Team
from gnnrl.zoo.batches import Augmentation, Batches, LabelledData, augmented, batched

OnProgress = Callable[[int, int, float], None]
"""Called after every step with (steps done, steps in all, loss); 0 in all if the number of batches is unknown."""


@dataclass(frozen=True)
class FinetuneResult:
    """The course of a fine-tuning; the network itself was trained in place."""

    history: tuple[Epoch, ...]
    diverged: bool
    """A loss was not finite: training stopped, and the network has the weights of the epoch with the lowest loss."""
    stopped: bool = False
    """The held-out loss did not improve: training stopped, and the network has the weights of its best epoch."""


def finetune(
    model: nn.Module,
    train_data: LabelledData,
    recipe: Recipe | None = None,
    *,
    teacher: nn.Module | None = None,
    held_out: LabelledData | None = None,
    snapshots: str | Path | Snapshots | None = None,
    on_progress: OnProgress | None = None,
    **settings: Any,
) -> FinetuneResult:
    """Train a network in place with stochastic gradient descent and Nesterov momentum; keep the last epoch.

        finetune(small, digits.train, epochs=2, learning_rate=0.02, batch_size=50)

    The same seed, data, device and number of threads give the same weights, even if the training was interrupted and
    resumed from `snapshots`. Torch's global generator is restored. Weight decay is not applied to biases and
    normalisations. The network is moved to the device, and its modes are restored.

    A group of processes (`torch.distributed`, started by torchrun or Ray Train) trains one network together: call
    this function in each process, with the same arguments. Each process computes its share of every batch. Steps,
    rates and weights are those of one process, except for rounding, random augmentation, dropout and BatchNorm, which
    normalises with the share; its running statistics are averaged after each epoch. Process 0 scores the network and
    writes snapshots. `on_progress` is called in all processes, and an error of one process is raised in all.

    Args:
        recipe: the settings; by default `Recipe(**settings)`, so that `epochs=5` may be given here.
        teacher: the dense network, on the same device; it is not changed.
        held_out: samples to score after each epoch, neither training nor test data; the best epoch is kept.
        snapshots: a folder that keeps the state after each epoch. A second call with the same arguments resumes from
            there, also with another number of processes. The order of batches stays the same if it is drawn from
            torch's global generator.

    Raises:
        ConfigError: a setting is out of its range, no parameter can be trained, or the snapshots are of another
            training.
        DataError: the data are unusable, as in `top1`.
        EvaluationError: a loss of the first epoch was not finite; the network is unchanged.
        ResourceError: a snapshot cannot be written; older ones are intact.
    """
    recipe = recipe or Recipe(**settings)
    recipe.check(model, has_teacher=teacher is not None, is_watched=held_out is not None)
    batches = batched(train_data, recipe.batch_size, shuffle=True)
    watched = None if held_out is None else batched(held_out, recipe.batch_size)
    kept = Snapshots(snapshots) if isinstance(snapshots, str | Path) else snapshots
    guide = teacher.to(recipe.device) if teacher is not None and recipe.distill else None
    with torch.random.fork_rng([] if recipe.device == "cpu" else None), mode(model, training=True):
        torch.manual_seed(recipe.seed)
        return _Training(recipe, batches, guide, watched, kept, on_progress, Team()).run(model.to(recipe.device))


@dataclass(frozen=True)
class _Training:
    """Data and settings of a training."""

    recipe: Recipe
    batches: Batches
    teacher: nn.Module | None
    watched: Batches | None
    snapshots: Snapshots | None
    on_progress: OnProgress | None
    team: Team

    def run(self, model: nn.Module) -> FinetuneResult:
        """Train, starting from the newest snapshot if there is one."""
        recipe, team, steps = self.recipe, self.team, len(self.batches) if isinstance(self.batches, Sized) else 0
        if not steps and recipe.schedule != "constant":
            raise ConfigError(
                f"the schedule {recipe.schedule!r} needs the number of batches, but the data have no length; use "
                "'constant', or give the data a __len__."
            )
        module = team.module(model)
        average = Average(model, recipe.ema) if recipe.ema else None
        progress = Progress(model, optimizer_of(model, recipe), average, copy_state(model.state_dict()))
        start = self._resume(progress, steps)
        told = EPOCHS.get() if self.on_progress is None else silent
        told(len(progress.history), recipe.epochs)
        while len(progress.history) < recipe.epochs and not self._is_over(progress):
            epoch = self._epoch(progress, module, len(progress.history) + 1, steps)
            team.average(progress.buffers())
            if epoch is None or damaged(model):
                return self._diverged(progress)
            progress.close_epoch(self._watch(epoch, progress))
            told(len(progress.history), recipe.epochs)
            with team.attempt():
                if self.snapshots is not None and team.is_first:
                    progress.save(self.snapshots, start)
            team.total()
        stopped = self._is_over(progress) and len(progress.history) < recipe.epochs
        model.load_state_dict(progress.best if self.watched is not None else copy_state(progress.state))
        return FinetuneResult(tuple(progress.history), diverged=False, stopped=stopped)

    def _resume(self, progress: Progress, steps: int) -> str:
        """Restore the newest snapshot of process 0; return a digest of the training's initial weights and settings."""
        start, found = "", None
        with self.team.attempt():
            if self.snapshots is not None and self.team.is_first:
                start, found = beginning(progress.model, self.recipe, steps), self.snapshots.latest()
                if found is not None:
                    check_beginning(found, start)
        found = self.team.shared(found)
        if found is not None:
            progress.restore(found)
        return start

    def _is_over(self, progress: Progress) -> bool:
        patience = self.recipe.patience
        return bool(patience) and len(progress.history) - progress.best_number >= patience

    def _diverged(self, progress: Progress) -> FinetuneResult:
        progress.model.load_state_dict(progress.best)
        if not progress.history:
            what = f"the loss is not finite in the first epoch at learning rate {self.recipe.learning_rate:g}"
            raise EvaluationError(f"{what}; lower it, or look for NaN in the inputs. The network is unchanged.")
        return FinetuneResult(tuple(progress.history), diverged=True)

    def _watch(self, epoch: Epoch, progress: Progress) -> Epoch:
        """Measure the held-out loss of the weights, or of their average if there is one; do not change the network."""
        if self.watched is None:
            return epoch
        loss = 0.0
        with self.team.attempt():
            if self.team.is_first:
                loss = self._held_out(self.watched, progress)
        return replace(epoch, held_out=self.team.total(loss)[0])

    def _held_out(self, watched: Batches, progress: Progress) -> float:
        model, now = progress.model, copy_state(progress.model.state_dict())
        model.load_state_dict(dict(progress.state))
        with torch.random.fork_rng([] if self.recipe.device == "cpu" else None):
            loss = cross_entropy(model, watched, self.recipe.device, precision=self.recipe.precision)
        model.load_state_dict(now)
        return loss

    def _epoch(self, progress: Progress, module: nn.Module, number: int, steps: int) -> Epoch | None:
        """Run one epoch; return None if a loss was not finite."""
        recipe, team = self.recipe, self.team
        start, rate = time.perf_counter(), recipe.learning_rate
        loss_sum, correct, seen = 0.0, 0, 0
        team.begin_epoch()
        coming = shares(self.batches, recipe.device, team)
        for step in count():
            here = Computed()
            with team.attempt():
                here = self._compute(coming, module, skips_one=seen > step)
            value, hits, samples = self._together(here)
            if here.mark == END:
                break
            if here.loss is None:
                continue
            if not math.isfinite(value):
                return None
            if steps:
                rate = rate_at((number - 1 + step / steps) / recipe.epochs, recipe.learning_rate, recipe.schedule)
            with team.connected():
                progress.step(here.loss, rate)
            loss_sum, correct, seen = loss_sum + value, correct + hits, seen + samples
            with team.attempt():
                if self.on_progress is not None:
                    self.on_progress((number - 1) * steps + step + 1, recipe.epochs * steps, value / samples)
        if not seen:
            raise DataError("there are no batches to train on.")
        return Epoch(number, loss_sum / seen, correct / seen, rate, time.perf_counter() - start)

    def _compute(self, coming: Iterator[Share], module: nn.Module, *, skips_one: bool) -> Computed:
        """Compute this process's share of the next batch."""
        share, team = next(coming, None), self.team
        if share is None or (share.whole == 1 and skips_one):  # one sample has no variance to normalise with
            return Computed(mark=END if share is None else share.mark)
        with team.own_randomness():
            logits, loss = self._forward(module, _augmented(share.inputs, self.recipe.augment), share.labels)
        weighted = loss * (share.own * team.size / share.whole)
        if not share.own:
            return Computed(weighted, mark=share.mark)
        correct = int((logits.argmax(1) == share.labels).sum())
        return Computed(weighted, loss.item() * share.own, correct, share.own, share.mark)

    def _together(self, here: Computed) -> tuple[float, int, int]:
        """Return loss, number of recognised samples and number of samples of the whole batch."""
        told = (here.value, here.correct, here.samples, here.mark, here.mark**2)
        value, correct, samples, marks, squares = self.team.total(*told)
        if marks**2 != self.team.size * squares:
            raise DataError(
                "the processes were given different batches: give each process the same whole data in the same order "
                "(no DistributedSampler); each process takes its share of each batch itself."
            )
        return value, int(correct), int(samples)

    def _forward(self, model: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and loss of a batch."""
        recipe, wanted = self.recipe, None
        if self.teacher is not None:
            with torch.no_grad(), evaluating(self.teacher):
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


def _augmented(inputs: tuple[Tensor, ...], kind: Augmentation) -> tuple[Tensor, ...]:
    if kind != "none" and len(inputs) > 1:
        raise DataError("inputs of a network with several inputs cannot be augmented: choose augment 'none'.")
    return tuple(augmented(value, kind) for value in inputs)
