"""Records of single layer calls of the dense network, and checks of what they hold."""

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
    """What the dense network did in one layer call.

    Attributes:
        name: name of the weight.
        first: the first row of the weight that is meant; there are as many as outputs.
        rows: rows that the layer read.
        target: outputs at the sampled positions [n, O].
        shapes: of the input and the output.
        branch_target: number of the addition, and its result [n, O], where the (normalised) output is only added.
        energy: mean square of the tensor that the output ends in, summed over channels: the sum of a residual
            addition, the normalised output, or the output itself.
        deferrable: nothing but one addition reads the output, so it need not be there before.
        moments, fitted: of the inputs on all images, and on those that are fitted where some are held out.
        bias: name of the bias.
        centre: name of the running mean of the batch normalisation that follows.
        scale: factor that the normalisation or layer scale after the layer applies to each output [O].
        shifts: whether the layer can shift its outputs, by a bias or by the batch normalisation that follows.
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
    deferrable: bool = False
    branch_target: tuple[int, Tensor] | None = None
    moments: Moments | None = None
    fitted: Moments | None = None
    bias: str | None = None
    centre: str | None = None


def check_finite(records: Iterable[LayerRecord], inputs: Sequence[Tensor]) -> None:
    """Refuse activations that cannot be squared, which least squares needs; infinite masks that do no harm may be."""
    for record in records:
        spread = 0.0 if record.moments is None else float(record.moments.covariance.diagonal().sum())
        if math.isfinite(energy(record.target)) and math.isfinite(spread):
            continue
        for value in inputs:
            sound = torch.isfinite(value).reshape(len(value), -1).all(1)
            if not sound.all():
                raise DataError(
                    f"the calibration data hold NaN or infinite numbers, first in sample {int(sound.int().argmin())} "
                    f"of {len(value)} (counted from 0), and so does what {record.name} computes; leave such samples out"
                )
        raise DataError(
            f"what {record.name} computes from the calibration data overflows: it is NaN, infinite or too large to "
            "be squared; look at its weights, and at the scale of the data"
        )


def check_alike(records: Iterable[LayerRecord], images: int) -> None:
    """Refuse a sample whose numbers are a thousand times as large as those of the others: it alone would be fitted."""
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
                f"others: what {record.name} computes from it is {(float(each.max()) / typical) ** 0.5:,.0f} times "
                "as large; leave it out, or look at how it was scaled"
            )


def energy(value: Tensor, *, centred: bool = False) -> float:
    """Mean square of rows [n, O], or their variance, summed over the columns."""
    value = value.to(torch.promote_types(value.dtype, torch.float32))
    shifted = value - value.mean(0) if centred else value
    return max(float(shifted.square().mean(0).sum()), 1e-12)
