"""From encoded images to pixels, sound and damaged."""

from pathlib import Path

import pytest
import torch

from gnnrl.errors import DataError
from gnnrl.zoo.pixels import PixelsOnDemand
from tests.zoo.pictures import encode, load, make_pictures, origins, write_folder, write_zip


def test_other_sizes_are_scaled_to_cover_and_cropped_at_the_centre(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {f"{c}/{i}.png": encode((9, 9, 9), (40, 20)) for c in "ab" for i in range(5)})
    image, _ = load(folder, (8, 8)).train[0]
    assert image.shape == (3, 8, 8)
    assert torch.allclose(image, torch.full((3, 8, 8), 9.0))


def test_large_images_are_decoded_on_demand_and_look_the_same(tmp_path: Path) -> None:
    for source in (write_folder(tmp_path / "a", make_pictures(10)), write_zip(tmp_path / "a.zip", make_pictures(10))):
        small, large = load(source, (8, 8)), load(source, (80, 80))
        assert isinstance(large.train.pixels, PixelsOnDemand)
        assert origins(large.train) == origins(small.train)


def test_few_corrupt_images_are_skipped_and_listed(tmp_path: Path) -> None:
    files = make_pictures(100) | {"cat/0007.png": b"not an image", "dog/0009.png": encode((1, 2, 3))[:40]}
    data = load(write_folder(tmp_path, files))
    assert sorted(data.skipped) == ["cat/0007.png", "dog/0009.png"]
    assert len(data.train) + len(data.reward) + len(data.test) == 198


@pytest.mark.parametrize("image_size", [(8, 8), (80, 80)])
def test_many_corrupt_images_are_an_error_that_names_them(tmp_path: Path, image_size: tuple[int, int]) -> None:
    files = make_pictures(10) | {"cat/0003.png": b"not an image"}
    with pytest.raises(DataError, match=r"1 of 20 images cannot be decoded .* cat/0003\.png"):
        load(write_folder(tmp_path, files), image_size)


def test_dangling_link_in_a_folder_counts_as_corrupt(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_pictures(100))
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    assert load(folder).skipped == ("cat/gone.png",)


def test_large_image_with_a_damaged_body_is_named_when_it_is_needed(tmp_path: Path) -> None:
    whole = encode((1, 2, 3), (300, 300))
    files = {f"{c}/{i}.png": whole[:-60] for c in "ab" for i in range(5)}
    data = load(write_folder(tmp_path, files), (80, 80))
    with pytest.raises(DataError, match=r"[ab]/\d\.png: the image is damaged"):
        data.train[0]


def test_decompression_bomb_counts_as_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.zoo.pixels.MAX_PIXELS", 1000)
    files = make_pictures(100) | {"cat/0003.png": encode((1, 2, 3), (100, 100))}
    assert load(write_folder(tmp_path, files)).skipped == ("cat/0003.png",)
