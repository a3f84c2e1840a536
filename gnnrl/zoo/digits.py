"""The embedded digits: 1,797 handwritten digits of 8x8 pixels, so that gnnrl runs without any data.

DIGITS.md in this folder describes source, licence and splits.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

DIGITS_FILE = Path(__file__).parent / "digits.safetensors"
DIGITS_WEIGHTS = Path(__file__).parent / "digits_resnet.safetensors"
DIGITS_MEAN, DIGITS_STD = (0.305,), (0.375,)
INK = 16
TRAIN, REWARD, TEST = slice(0, 1000), slice(1000, 1297), slice(1297, 1797)


def load_digits() -> tuple[Tensor, Tensor]:
    """Read images, uint8 [1797, 1, 8, 8] from 0 to 255, and labels, int64 [1797], in the order of the splits.

    `TRAIN`, `REWARD` and `TEST` are the slices of both tensors for the splits.
    """
    tensors = load_file(DIGITS_FILE)
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(tensors["labels"])))
    pixels = tensors["images"][order].to(torch.int64) * 255 // INK
    return pixels.to(torch.uint8), tensors["labels"][order].to(torch.int64)
