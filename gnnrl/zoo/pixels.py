"""Pixels of encoded images: small images are decoded once and stored, larger ones whenever they are read.

N = images, C = 1 (grey) or 3 (colour), H and W = the requested size. Pixels are uint8 [N, C, H, W].
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gnnrl.errors import DataError

Content = bytes | Path
Shape = tuple[int, int, int]
"""(C, H, W)."""
Pixels = Callable[[Tensor], Tensor]
"""Returns uint8 [n, C, H, W] for int64 [n] positions."""
T = TypeVar("T")

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "PPM", "TIFF")
MAX_PIXELS = 100_000_000
DECODED_BYTES = 3 * 64 * 64
CORRUPT_SHARE = 0.01
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True, eq=False)
class PixelsOnDemand:
    """Encoded images, which are decoded each time they are read."""

    names: list[str]
    contents: list[Content]
    shape: Shape

    def __call__(self, positions: Tensor) -> Tensor:
        """Return uint8 [n, C, H, W].

        Raises:
            DataError: an image with a valid header cannot be decoded.
        """
        return _stack([self._decode(position) for position in positions.tolist()])

    def _decode(self, position: int) -> npt.NDArray[np.uint8]:
        try:
            return decode(self.contents[position], self.shape)
        except UNREADABLE as error:
            raise DataError(f"{self.names[position]}: the image is damaged ({error}); remove it.") from error


def collect(images: Iterable[tuple[str, Content]], shape: Shape, source: Path) -> tuple[list[str], Pixels, list[str]]:
    """Return the sorted names of a source's images, their pixels, and the names of images that cannot be decoded.

    Raises:
        DataError: there is no image, or more than 1 % of the images cannot be decoded.
    """
    channels, height, width = shape
    if channels * height * width <= DECODED_BYTES:
        names, arrays, skipped = _sift(images, partial(decode, shape=shape), source)
        return names, _stack(arrays).__getitem__, skipped
    names, contents, skipped = _sift(images, _probe, source)
    return names, PixelsOnDemand(names, contents, shape), skipped


def decode(content: Content, shape: Shape) -> npt.NDArray[np.uint8]:
    """Decode one image to uint8 [H, W, C], scaled to cover H x W and cropped at the centre.

    Raises:
        OSError, ValueError, SyntaxError, EOFError, struct.error: the image is damaged.
    """
    channels, height, width = shape
    with _open(content) as image:
        pixels = image.convert("L" if channels == 1 else "RGB")
    if pixels.size != (width, height):
        pixels = ImageOps.fit(pixels, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(pixels).reshape(height, width, channels)


def _sift(
    images: Iterable[tuple[str, Content]], read: Callable[[Content], T], source: Path
) -> tuple[list[str], list[T], list[str]]:
    """Return the sorted names of readable images, the results of `read`, and the names of unreadable images."""
    good: list[tuple[str, T]] = []
    skipped: list[str] = []
    for name, content in images:
        try:
            good.append((name, read(content)))
        except UNREADABLE:
            skipped.append(name)
    if not good and not skipped:
        raise DataError(f"{source}: there is no image in it; files like class_name/0001.jpg are expected.")
    if len(skipped) > CORRUPT_SHARE * (len(good) + len(skipped)):
        raise DataError(
            f"{source}: {len(skipped):,} of {len(good) + len(skipped):,} images cannot be decoded (1 % may fail): "
            f"{', '.join(sorted(skipped)[:5])}; remove or replace them."
        )
    good.sort(key=lambda image: image[0])
    return [name for name, _ in good], [content for _, content in good], skipped


def _probe(content: Content) -> Content:
    """Return an image unchanged if its header is valid."""
    with _open(content):
        return content


@contextmanager
def _open(content: Content) -> Iterator[Image.Image]:
    with Image.open(BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
        yield image


def _stack(arrays: list[npt.NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
