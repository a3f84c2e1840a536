"""Networks of diffusers: small configurations with the published ratios of widths."""

from typing import Any

import diffusers
import torch
from coverage_inputs import named, noise, note
from coverage_rows import Sample, Subject
from torch import Tensor

_UNET = {"block_out_channels": (64, 128, 256), "layers_per_block": 1, "sample_size": 32, "norm_num_groups": 16}
_CONDITIONED = {"cross_attention_dim": 128, "attention_head_dim": 4}
_DOWN, _UP = (
    ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    ("UpBlock2D", *2 * ("CrossAttnUpBlock2D",)),
)
_PLAIN = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
_SD3 = {"num_layers": 3, "attention_head_dim": 64, "num_attention_heads": 4, "joint_attention_dim": 256}
_SD3 |= {"caption_projection_dim": 256, "pooled_projection_dim": 128, "sample_size": 32, "pos_embed_max_size": 32}
_FLUX = {"num_layers": 2, "num_single_layers": 2, "attention_head_dim": 64, "num_attention_heads": 4, "in_channels": 16}
_FLUX |= {"joint_attention_dim": 256, "pooled_projection_dim": 128, "axes_dims_rope": (8, 28, 28)}
_KL = {"block_out_channels": (64, 128, 256), "norm_num_groups": 16, "sample_size": 64}
_DIT = {"num_attention_heads": 4, "attention_head_dim": 72, "num_layers": 2, "sample_size": 32, "norm_num_groups": 16}


def _steps(seed: int, batch: int, longer: bool) -> Tensor:
    return torch.randint(0, 1000, (batch,), generator=torch.Generator().manual_seed(seed))


def _places(count: int) -> Sample:
    def make(seed: int, batch: int, longer: bool) -> Tensor:
        return torch.stack([torch.zeros(count), torch.arange(count) // 8, torch.arange(count) % 8], 1)

    return make


_PICTURE, _TEXT = noise(4, 32, 32, longer=(4, 48, 48)), noise(12, 256, longer=(20, 256))
_FLUX_INPUTS = named(
    hidden_states=noise(64, 16),
    encoder_hidden_states=noise(12, 256),
    pooled_projections=noise(128),
    timestep=_steps,
    img_ids=_places(64),
    txt_ids=_places(12),
)
_ROWS: dict[str, tuple[str, dict[str, Any], Sample]] = {
    "unet2d": (
        "UNet2DModel",
        {**_UNET, "down_block_types": _PLAIN[0], "up_block_types": _PLAIN[1]},
        named(sample=noise(3, 32, 32, longer=(3, 48, 48)), timestep=_steps),
    ),
    "unet2d-cond": (
        "UNet2DConditionModel",
        {**_UNET, **_CONDITIONED, "down_block_types": _DOWN, "up_block_types": _UP},
        named(sample=_PICTURE, timestep=_steps, encoder_hidden_states=noise(12, 128, longer=(20, 128))),
    ),
    "vae": (
        "AutoencoderKL",
        {**_KL, "down_block_types": 3 * ("DownEncoderBlock2D",), "up_block_types": 3 * ("UpDecoderBlock2D",)},
        named(sample=noise(3, 64, 64, longer=(3, 96, 96))),
    ),
    "dit": (
        "DiTTransformer2DModel",
        _DIT,
        named(hidden_states=noise(4, 32, 32), timestep=_steps, class_labels=_steps),
    ),
    "sd3": (
        "SD3Transformer2DModel",
        _SD3,
        named(
            hidden_states=noise(16, 16, 16, longer=(16, 24, 24)),
            encoder_hidden_states=_TEXT,
            pooled_projections=noise(128),
            timestep=_steps,
        ),
    ),
    "flux": ("FluxTransformer2DModel", _FLUX, _FLUX_INPUTS),
}


def names() -> list[str]:
    """Return all rows, in the order of the table."""
    return list(_ROWS)


def build(name: str) -> Subject:
    """Build a network with random weights."""
    kind, settings, sample = _ROWS[name]
    model = getattr(diffusers, kind)(**settings).eval()
    return Subject(model, sample, longer=name not in ("dit", "flux"), note=note(kind, settings))
