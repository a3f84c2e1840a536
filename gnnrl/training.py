"""The only loops over data: how good a network is, and how it is trained further.

n = samples in a batch. A network maps inputs [n, ...] to logits float [n, classes]; labels are int64 [n]. Batches are
(x, y), or (x1, x2, ..., y) where the network's `forward` takes several inputs.
Accuracies are shares in [0, 1]. Images [n, C, H, W] are computed channels-last, which CPUs and GPUs like best.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.errors import ConfigError, DataError, EvaluationError
from gnnrl.zoo.batches import Augmentation, Batches, LabelledData, augmented, batched, on_device
from gnnrl.zoo.data import check_labels

Metric = Literal["top1", "loss", "kl"]
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["one-cycle", "cosine", "constant"]
OnProgress = Callable[[int, int, float], None]
"""Called after every step with (steps done, steps in all, loss); 0 in all where the number of batches is unknown."""

TEMPERATURE = 2.0
WARM_UP = 0.3
WARM_UP_FROM = 1 / 25
MOMENTUM = 0.9


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data; the first has number 1."""

    number: int
    loss: float
    """Mean cross-entropy of the training samples, as they were when their turn came."""
    top1: float
    """Share of them that was recognised."""
    learning_rate: float
    """Of the last step."""
    seconds: float


@dataclass(frozen=True)
class FinetuneResult:
    """How a fine-tuning went; the network itself was trained in place."""

    history: tuple[Epoch, ...]
    diverged: bool
    """A loss was not finite: training stopped, and the network is as after the epoch of the lowest loss."""


def top1(model: nn.Module, batches: Batches, device: str = "cpu", *, precision: Precision = "float32") -> float:
    """Measure the share of samples whose largest logit is their label's.

    The network is moved to the device, judged in eval mode, and its modes are restored.

    Raises:
        DataError: there are no batches, or they are not (inputs, labels) that fit the network.
        EvaluationError: the network's outputs are not finite logits.
    """
    return mean_of(model, batches, device, precision, lambda logits, labels: (logits.argmax(1) == labels).sum())


def cross_entropy(
    model: nn.Module, batches: Batches, device: str = "cpu", *, precision: Precision = "float32"
) -> float:
    """Measure the mean cross-entropy in nats; conditions and errors as `top1`."""
    return mean_of(model, batches, device, precision, partial(F.cross_entropy, reduction="sum"))


def kl_divergence(
    model: nn.Module,
    batches: Batches,
    teacher: Sequence[Tensor],
    device: str = "cpu",
    *,
    precision: Precision = "float32",
    temperature: float = TEMPERATURE,
) -> float:
    """Measure the mean divergence KL(teacher || network) of softened outputs in nats (Hinton et al. 2015).

    Conditions and errors as `top1`; the labels only have to be there.

    Args:
        teacher: what `logits_of` returned for the teacher and the same batches, in the same order.
        temperature: logits are divided by it (https://arxiv.org/abs/1503.02531).
    """
    following = iter(teacher)

    def total(logits: Tensor, _: Tensor) -> Tensor:
        goal = F.log_softmax(next(following).to(logits.device) / temperature, 1)
        return F.kl_div(F.log_softmax(logits / temperature, 1), goal, log_target=True, reduction="sum")

    return mean_of(model, batches, device, precision, total)


def logits_of(
    model: nn.Module, batches: Batches, device: str = "cpu", *, precision: Precision = "float32"
) -> list[Tensor]:
    """Compute the logits [n, classes] of every batch, kept on the CPU; conditions and errors as `top1`."""
    found: list[Tensor] = []

    def keep(logits: Tensor, labels: Tensor) -> Tensor:
        found.append(logits.cpu())
        return labels.new_zeros(())

    mean_of(model, batches, device, precision, keep)
    return found


def evaluator(
    data: LabelledData,
    metric: Metric = "top1",
    *,
    teacher: nn.Module | None = None,
    batch_size: int = 250,
    device: str = "cpu",
    precision: Precision = "float32",
) -> Callable[[nn.Module], float]:
    """Make a function from a network to its score, higher is better: `top1`, or minus `cross_entropy`, or minus `kl`.

    Args:
        teacher: the dense network, judged on the data at once; for `kl`, which tells close plans apart best.

    Raises:
        ConfigError: there is no such metric, or `kl` has no teacher.
    """
    if metric not in get_args(Metric):
        raise ConfigError(f"there is no metric {metric!r}; there are {', '.join(get_args(Metric))}.")
    batches = batched(data, batch_size)
    measures: dict[str, Callable[..., float]] = {"top1": top1, "loss": cross_entropy, "kl": kl_divergence}
    measure = measures[metric]
    if metric == "kl":
        if teacher is None:
            raise ConfigError("the metric kl compares with the dense network; give it as teacher=")
        known = logits_of(copy.deepcopy(teacher), batches, device, precision=precision)
        measure = partial(kl_divergence, teacher=known)
    sign = 1 if metric == "top1" else -1
    return partial(_score, measure=measure, sign=sign, batches=batches, device=device, precision=precision)


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
    seed: int = 0,
    device: str = "cpu",
    precision: Precision = "float32",
    on_progress: OnProgress | None = None,
) -> FinetuneResult:
    """Train a network in place with stochastic gradient descent and Nesterov momentum; keep the last epoch.

    The same seed, data, device and number of threads give the same weights; torch's global generator is left as it
    was. Weight decay spares biases and normalisations. The network is moved to the device, its modes are restored.

    Args:
        epochs: passes over the data, at least 1.
        learning_rate: the highest of the schedule.
        batch_size: ignored where `train_data` yields batches.
        schedule: "one-cycle" climbs for 30 % of the steps and falls to zero along a cosine, "cosine" only falls.
        augment: "crop" shifts images by up to an eighth of their size, "flip-crop" mirrors half of them, too.
        precision: "bfloat16" computes layers in half the bits where that is safe; weights stay as they are.

    Raises:
        ConfigError: a setting is out of its range, or no parameter can be trained.
        DataError: as `top1`.
        EvaluationError: a loss of the first epoch was not finite; the network is as it was.
    """
    recipe = _Recipe(epochs, learning_rate, weight_decay, label_smoothing, schedule, augment, device, precision)
    _check(recipe, model, batch_size)
    batches = batched(train_data, batch_size, shuffle=True)
    with torch.random.fork_rng([] if device == "cpu" else None), _mode(model, training=True):
        torch.manual_seed(seed)
        return _train(model.to(device), batches, recipe, on_progress)


@dataclass(frozen=True)
class _Recipe:
    """The settings of `finetune` that every step needs."""

    epochs: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    schedule: Schedule
    augment: Augmentation
    device: str
    precision: Precision


def _check(recipe: _Recipe, model: nn.Module, batch_size: int) -> None:
    wrong = [
        f"{name} must be {rule}, not {value}"
        for name, value, rule, holds in (
            ("epochs", recipe.epochs, "at least 1", recipe.epochs >= 1),
            ("learning_rate", recipe.learning_rate, "above 0", 0 < recipe.learning_rate < math.inf),
            ("batch_size", batch_size, "at least 2", batch_size >= 2),
            ("weight_decay", recipe.weight_decay, "0 or more", 0 <= recipe.weight_decay < math.inf),
            ("label_smoothing", recipe.label_smoothing, "in [0, 1)", 0 <= recipe.label_smoothing < 1),
            ("schedule", recipe.schedule, "one-cycle, cosine or constant", recipe.schedule in get_args(Schedule)),
            ("precision", recipe.precision, "float32 or bfloat16", recipe.precision in get_args(Precision)),
            ("augment", recipe.augment, "none, crop or flip-crop", recipe.augment in get_args(Augmentation)),
        )
        if not holds
    ]
    if not any(parameter.requires_grad for parameter in model.parameters()):
        wrong.append("no parameter of the network can be trained; call model.requires_grad_(True)")
    if wrong:
        raise ConfigError("fine-tuning: " + "; ".join(wrong) + ".")


def _train(model: nn.Module, batches: Batches, recipe: _Recipe, on_progress: OnProgress | None) -> FinetuneResult:
    steps = len(batches) if isinstance(batches, Sized) else 0
    if not steps and recipe.schedule != "constant":
        raise ConfigError(f"the schedule {recipe.schedule!r} needs to know how many batches there are; use 'constant'.")
    optimizer = _optimizer(model, recipe)
    history: list[Epoch] = []
    best_loss, best_state = math.inf, _copy_state(model)
    for number in range(1, recipe.epochs + 1):
        epoch = _train_epoch(model, batches, recipe, optimizer, number, steps, on_progress)
        if epoch is None or not _is_finite(model):
            model.load_state_dict(best_state)
            if not history:
                what = f"the loss is not finite in the first epoch at learning rate {recipe.learning_rate:g}"
                raise EvaluationError(f"{what}; lower it, or look for NaN in the inputs. The network is as it was.")
            return FinetuneResult(tuple(history), diverged=True)
        history.append(epoch)
        if epoch.loss < best_loss:
            best_loss, best_state = epoch.loss, _copy_state(model)
    return FinetuneResult(tuple(history), diverged=False)


def _train_epoch(
    model: nn.Module,
    batches: Batches,
    recipe: _Recipe,
    optimizer: torch.optim.Optimizer,
    number: int,
    steps: int,
    on_progress: OnProgress | None,
) -> Epoch | None:
    """Run one epoch; None where a loss was not finite."""
    start, rate = time.perf_counter(), recipe.learning_rate
    loss_sum, correct, count = 0.0, 0, 0
    for step, (inputs, labels) in enumerate(on_device(batches, recipe.device)):
        if len(labels) == 1 and count > step:
            continue  # a single sample left over has no variance to normalise with
        if steps:
            rate = rate_at((number - 1 + step / steps) / recipe.epochs, recipe.learning_rate, recipe.schedule)
            for group in optimizer.param_groups:
                group["lr"] = rate
        logits = _logits(model, _augmented(inputs, recipe.augment), labels, recipe.precision)
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        value = loss.item()
        if not math.isfinite(value):
            return None
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        loss_sum, count = loss_sum + value * len(labels), count + len(labels)
        correct += int((logits.argmax(1) == labels).sum())
        if on_progress is not None:
            on_progress((number - 1) * steps + step + 1, recipe.epochs * steps, value)
    if not count:
        raise DataError("there are no batches to train on.")
    return Epoch(number, loss_sum / count, correct / count, rate, time.perf_counter() - start)


def rate_at(progress: float, peak: float, schedule: Schedule) -> float:
    """Compute the learning rate after a share of the steps (one-cycle: Smith & Topin 2017, arXiv:1708.07120)."""
    if schedule == "constant":
        return peak
    if schedule == "one-cycle":
        if progress < WARM_UP:
            return peak * (WARM_UP_FROM + (1 - WARM_UP_FROM) * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return peak * (1 + math.cos(math.pi * progress)) / 2


def _score(
    model: nn.Module, *, measure: Callable[..., float], sign: int, batches: Batches, device: str, precision: Precision
) -> float:
    return sign * measure(model, batches, device=device, precision=precision)


@torch.no_grad()
def mean_of(
    model: nn.Module, batches: Batches, device: str, precision: Precision, total: Callable[[Tensor, Tensor], Tensor]
) -> float:
    """Average over samples a quantity whose sum over a batch is `total(logits, labels)`."""
    model.to(device)
    result, count = 0.0, 0
    with _mode(model, training=False):
        for inputs, labels in on_device(batches, device):
            logits = _logits(model, inputs, labels, precision)
            if not logits.isfinite().all():
                raise EvaluationError("the network's outputs are NaN or infinite: its weights or inputs are damaged.")
            result, count = result + float(total(logits, labels)), count + len(labels)
    if not count:
        raise DataError("there are no batches to judge the network on.")
    return result / count


def _augmented(inputs: tuple[Tensor, ...], kind: Augmentation) -> tuple[Tensor, ...]:
    if kind != "none" and len(inputs) > 1:
        raise DataError("a network of several inputs is trained as they are: choose augment 'none'.")
    return tuple(augmented(value, kind) for value in inputs)


def _logits(model: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor, precision: Precision) -> Tensor:
    """Run the network and check that its output can be compared with the labels."""
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        try:
            logits = model(*inputs)
        except RuntimeError as error:
            # `x.view(n, -1)` runs in the user's layout, but not in channels-last, which is faster where it runs
            if "view size is not compatible" not in str(error):
                raise
            logits = model(*(value.contiguous() for value in inputs))
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        what = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise EvaluationError(f"expected logits [n, classes], the network gives {what}: judge it by your own function.")
    check_labels(labels, logits.shape[1])
    return logits.float()


def _optimizer(model: nn.Module, recipe: _Recipe) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=MOMENTUM, nesterov=True)


def _copy_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _is_finite(model: nn.Module) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training
