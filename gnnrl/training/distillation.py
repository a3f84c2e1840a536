"""The loss of a small network in training: against the labels, and against the outputs of a larger network.

n = samples in a batch, C = classes. Logits are float [n, C], labels int64 [n].
"""

import torch.nn.functional as F
from torch import Tensor

from gnnrl.scoring.measures import softened_divergence


def training_loss(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None = None,
    *,
    weight: float = 0.0,
    temperature: float = 4.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Compute the loss of a step (Hinton, Vinyals & Dean 2015, arXiv:1503.02531).

        (1 - w) CE(logits, labels) + w T^2 KL(softmax(teacher / T) || softmax(logits / T))

    T^2 keeps the gradient of the second term as large as that of the first, whatever T is.

    Args:
        teacher: logits of the larger network; None for the first term alone.
        weight: w, in [0, 1].
        temperature: T; higher values give more weight to classes that the teacher finds similar.
        label_smoothing: label smoothing of the first term.

    Returns:
        Mean over the samples, in nats.
    """
    hard = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if teacher is None or not weight:
        return hard
    soft = softened_divergence(logits, teacher, temperature, "batchmean") * temperature**2
    return (1 - weight) * hard + weight * soft
