"""Batches of images, and how they are augmented."""

import pytest
import torch

from gnnrl.errors import DataError
from gnnrl.zoo.batches import augmented


def test_crop_shifts_each_image_as_a_whole() -> None:
    torch.manual_seed(0)
    image = torch.arange(16 * 16.0).view(1, 1, 16, 16)
    offsets = set()
    for moved in augmented(image.expand(64, 2, 16, 16), "crop"):
        assert torch.equal(moved[0], moved[1])
        inside = moved[0, 2:-2, 2:-2]  # a margin of 2 = 16 / 8
        assert torch.equal(inside - inside[0, 0], image[0, 0, 2:-2, 2:-2] - image[0, 0, 2, 2])
        offsets.add(int(inside[0, 0] - image[0, 0, 2, 2]))
    assert offsets <= {16 * dy + dx for dy in range(-2, 3) for dx in range(-2, 3)}
    assert len(offsets) > 15


def test_flip_mirrors_about_half_of_the_images() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(16.0).expand(200, 1, 16, 16)
    flips = (augmented(ramp, "flip-crop").diff(dim=3) < 0).any(dim=3)[:, 0, 0]
    assert 70 < int(flips.sum()) < 130


def test_only_images_are_augmented() -> None:
    with pytest.raises(DataError, match=r"not inputs of the shape \[2, 3\]"):
        augmented(torch.zeros(2, 3), "crop")
    assert augmented(torch.zeros(2, 3), "none").shape == (2, 3)
