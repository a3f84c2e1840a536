"""Networks of MONAI, for volumes of 32 or 64 voxels a side."""

from typing import Any

import monai.networks.nets as nets
from coverage_inputs import noise, note
from coverage_rows import Subject

_FLAT = [[3, 3, 3]] * 4
_ROWS: dict[str, tuple[str, dict[str, Any], int, int]] = {
    "unet": ("UNet", {"channels": (16, 32, 64, 128), "strides": (2, 2, 2), "num_res_units": 2}, 32, 48),
    "segresnet": ("SegResNet", {"init_filters": 16}, 32, 48),
    "swinunetr": ("SwinUNETR", {"feature_size": 12, "depths": (1, 1, 1, 1)}, 64, 96),
    "dynunet": (
        "DynUNet",
        {
            "kernel_size": _FLAT,
            "strides": [1, 2, 2, 2],
            "upsample_kernel_size": [2, 2, 2],
            "filters": [16, 32, 64, 128],
        },
        32,
        48,
    ),
}


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return list(_ROWS)


def build(name: str) -> Subject:
    """Build a network with random weights."""
    kind, settings, side, larger = _ROWS[name]
    settings = {"in_channels": 1, "out_channels": 3, **({} if name == "swinunetr" else {"spatial_dims": 3}), **settings}
    model = getattr(nets, kind)(**settings).eval()
    sample = noise(1, side, side, side, longer=(1, larger, larger, larger))
    return Subject(model, sample, note=note(kind, settings))
