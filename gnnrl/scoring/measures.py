"""Measures of a network's quality on data: the only loop over data that does not train.

n = samples in a batch. A network maps inputs [n, ...] to logits float [n, classes]; labels are int64 [n]. Batches are
(x, y), or (x1, x2, ..., y) if the network's `forward` takes several inputs.
Accuracies are shares in [0, 1]. Images [n, C, H, W] are computed channels-last, which is fastest on CPUs and GPUs.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.errors import ConfigError, DataError, EvaluationError, wants_contiguous
from gnnrl.modules.copies import copy_network, device_of
from gnnrl.modules.modes import evaluating
from gnnrl.modules.outputs import counted
from gnnrl.zoo.batches import Batches, LabelledData, batched, ended, placed
from gnnrl.zoo.data import check_labels

Metric = Literal["top1", "loss", "kl"]
Precision = Literal["float32", "bfloat16"]
TEMPERATURE = 2.0


def top1(model: nn.Module, batches: Batches, device: str = "cpu", *, precision: Precision = "float32") -> float:
    """Measure the share of samples whose largest logit is their label's.

    The network is moved to the device and run in evaluation mode; then its modes are restored.

    Raises:
        DataError: there are no batches, or they are not (inputs, labels) that fit the network.
        EvaluationError: the network's outputs are not finite logits.
    """
    return mean_of(model, batches, device, precision, lambda logits, labels: (logits.argmax(1) == labels).sum())


def cross_entropy(
    model: nn.Module, batches: Batches, device: str = "cpu", *, precision: Precision = "float32"
) -> float:
    """Measure the mean cross-entropy in nats, with the conditions and errors of `top1`."""
    return mean_of(model, batches, device, precision, partial(F.cross_entropy, reduction="sum"))


def kl_divergence(
    model: nn.Module,
    batches: Batches,
    teacher: Sequence[tuple[Tensor, Tensor]],
    device: str = "cpu",
    *,
    precision: Precision = "float32",
    temperature: float = TEMPERATURE,
) -> float:
    """Measure the mean divergence KL(teacher || network) of softened outputs in nats (Hinton et al. 2015).

    Conditions and errors are those of `top1`. Labels only serve to check that the teacher saw the same batches.

    Args:
        teacher: the result of `all_logits` for the teacher and the same batches, in the same order.
        temperature: divisor of the logits (https://arxiv.org/abs/1503.02531).

    Raises:
        DataError: the teacher saw other batches, because the data are shuffled or have changed.
    """
    following = iter(teacher)

    def total(logits: Tensor, labels: Tensor) -> Tensor:
        known, seen = next(following, (logits, None))
        if seen is None or not torch.equal(seen, labels.cpu()):
            raise _other_batches()
        return softened_divergence(logits, known.to(logits.device), temperature, "sum")

    result = mean_of(model, batches, device, precision, total)
    if next(following, None) is not None:
        raise _other_batches()
    return result


def softened_divergence(logits: Tensor, teacher: Tensor, temperature: float, reduction: str) -> Tensor:
    """Compute KL(softmax(teacher / T) || softmax(logits / T)) in nats.

    Args:
        temperature: T.
        reduction: the one that `torch.nn.functional.kl_div` applies: "sum", "batchmean" or "none" [n, C].
    """
    wanted = F.log_softmax(teacher / temperature, 1)
    return F.kl_div(F.log_softmax(logits / temperature, 1), wanted, reduction=reduction, log_target=True)


def _other_batches() -> DataError:
    return DataError(
        "the metric kl compares a network with the dense network on the same batches, but the batches have changed. "
        "Give a loader that yields the same batches in the same order each time: no shuffle, no random transforms."
    )


def all_logits(
    model: nn.Module, batches: Batches, device: str = "cpu", *, precision: Precision = "float32"
) -> list[tuple[Tensor, Tensor]]:
    """Compute the logits [n, classes] of every batch; return them with its labels, on the CPU. Errors as in `top1`."""
    found: list[tuple[Tensor, Tensor]] = []

    def keep(logits: Tensor, labels: Tensor) -> Tensor:
        found.append((logits.cpu(), labels.cpu()))
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
    """Return a function from a network to its score, higher is better: `top1`, minus `cross_entropy` or minus `kl`.

    Args:
        teacher: the dense network, which runs on the data at once; only for `kl`, the best metric for close plans.

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
        known = all_logits(copy_network(teacher), batches, device, precision=precision)
        measure = partial(kl_divergence, teacher=known)
    sign = 1 if metric == "top1" else -1
    return partial(score_batches, measure=measure, sign=sign, batches=batches, device=device, precision=precision)


def score_batches(
    model: nn.Module,
    *,
    batches: Batches,
    measure: Callable[..., float] = top1,
    sign: int = 1,
    device: str | None = None,
    precision: Precision = "float32",
) -> float:
    """Measure a network on batches, by default on its own device: what `evaluator` returns with bound settings."""
    return sign * measure(model, batches, device=device or str(device_of(model)), precision=precision)


@torch.no_grad()
def mean_of(
    model: nn.Module, batches: Batches, device: str, precision: Precision, total: Callable[[Tensor, Tensor], Tensor]
) -> float:
    """Average over samples a quantity whose sum over a batch is `total(logits, labels)`."""
    model.to(device)
    result, count = 0.0, 0
    with evaluating(model):
        for batch in ended(batches):
            inputs, labels = placed(batch, device)
            logits = logits_of(model, inputs, labels, precision)
            if not logits.isfinite().all():
                raise EvaluationError("the network's outputs are NaN or infinite: its weights or inputs are damaged.")
            result, count = result + float(total(logits, labels)), count + len(labels)
    if not count:
        raise DataError("there are no batches to score the network on.")
    return result / count


def logits_of(model: nn.Module, inputs: tuple[Tensor, ...], labels: Tensor, precision: Precision) -> Tensor:
    """Run the network; raise an error if it returns no logits [n, classes], or a label is not one of the classes."""
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        try:
            logits = counted(model, model(*inputs))
        except RuntimeError as error:
            # `x.view(n, -1)` runs in the user's layout, but not in channels-last, which is faster
            if not wants_contiguous(error):
                raise
            logits = counted(model, model(*(value.contiguous() for value in inputs)))
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        what = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise EvaluationError(
            f"expected logits [n, classes], but the network returns {what}: choose them by outputs= (--outputs), or "
            "score the network with a function"
        )
    check_labels(labels, logits.shape[1])
    return logits.float()
