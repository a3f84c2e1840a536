"""Records of single layer calls of the dense network, and checks of their numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnrl.errors import DataError

_UNLIKE = 1e6


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean [p] and covariance [p, p] of a layer's inputs, p = input channels · kernel positions, float32."""

    mean: Tensor
    covariance: Tensor


@dataclass(slots=True)
class LayerRecord:
    """One layer call of the dense network.

    Attributes:
        name: name of the weight.
        first: first row of the weight that the call reads; it reads one row for each output.
        rows: number of rows that the layer read.
        target: outputs at the sampled positions [n, O].
        ends: number of sampled positions in the first part of the images, in the first two parts, and so on.
        shapes: shapes of the input and the output.
        branch_target: number of the addition that reads the (normalised) output, and its result [n, O].
        energy: mean square of the tensor that the output ends in, summed over channels: the sum of a residual
            addition, the normalised output, or the output itself.
        deferrable: True if only one addition reads the output, so that it can be computed there.
        moments, fitted: moments of the inputs on all images, and on those that are fitted if some are held out.
        bias: name of the bias.
        weight: the weight [O, ...], if a weight norm computes it; `name` is that of its direction.
        centre: name of the running mean of the batch normalisation that follows.
        scale: factor that the normalisation or layer scale after the layer applies to each output [O].
        shifts: True if the layer can shift its outputs, by a bias or by the batch normalisation that follows.
    """

    name: str
    first: int
    rows: int
    samples: int
    target: Tensor
    energy: float
    scale: Tensor
    shifts: bool
    shapes: tuple[torch.Size, torch.Size]
    ends: tuple[int, ...] = ()
    deferrable: bool = False
    branch_target: tuple[int, Tensor] | None = None
    moments: Moments | None = None
    fitted: Moments | None = None
    bias: str | None = None
    weight: Tensor | None = None
    centre: str | None = None


def check_finite(records: Iterable[LayerRecord], inputs: Sequence[Tensor]) -> None:
    """Refuse activations that cannot be squared, which least squares needs; accept infinite masks that do no harm."""
    for record in records:
        spread = 0.0 if record.moments is None else float(record.moments.covariance.diagonal().sum())
        if math.isfinite(energy(record.target)) and math.isfinite(spread):
            continue
        for value in inputs:
            sound = torch.isfinite(value).reshape(len(value), -1).all(1)
            if not sound.all():
                raise DataError(
                    f"the calibration data hold NaN or infinite numbers, first in sample {int(sound.int().argmin())} "
                    f"of {len(value)} (counted from 0), and so do the outputs of {record.name}; leave such samples out"
                )
        raise DataError(
            f"the outputs of {record.name} for the calibration data are NaN, infinite or too large to be squared; "
            "check its weights and the scale of the data"
        )


def check_alike(records: Iterable[LayerRecord], images: int) -> None:
    """Refuse a sample whose numbers are a thousand times as large as the others': it alone would be fitted."""
    for record in records:
        rows = len(record.target)
        if rows < images:
            continue
        each_row = record.target.float().square().mean(1).cpu()
        image = torch.arange(rows) * images // rows
        each = torch.zeros(images).index_add_(0, image, each_row) / torch.bincount(image, minlength=images)
        typical = float(each.median())
        if typical > 0 and float(each.max()) > _UNLIKE * typical:
            raise DataError(
                f"sample {int(each.argmax())} of the {images} calibration samples (counted from 0) is unlike the "
                f"others: the outputs of {record.name} for it are {(float(each.max()) / typical) ** 0.5:,.0f} times "
                "as large; leave it out, or check its scale"
            )


def energy(value: Tensor, *, centred: bool = False) -> float:
    """Return the mean square of rows [n, O], or their variance, summed over the columns."""
    value = value.to(torch.promote_types(value.dtype, torch.float32))
    shifted = value - value.mean(0) if centred else value
    return max(float(shifted.square().mean(0).sum()), 1e-12)
