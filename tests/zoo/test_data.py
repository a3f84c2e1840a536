"""Labelled images and their splits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gnnrl.errors import ConfigError, DataError
from gnnrl.zoo.data import check_labels, load_data
from tests.zoo.pictures import encode, load, make_pictures, origins, origins_green, write_folder, write_tar, write_zip


def test_train_and_test_archives_follow_the_documented_permutation(tmp_path: Path) -> None:
    write_tar(tmp_path / "train.tar.xz", make_pictures(50))
    write_tar(tmp_path / "test.tar.xz", make_pictures(3))
    data = load(tmp_path)
    files = [(c, i) for c in range(2) for i in range(50)]  # sorted by path
    order = np.random.RandomState(0).permutation(100)
    assert origins(data.train) == [files[i] for i in order[:90]]
    assert origins(data.reward) == [files[i] for i in order[90:]]
    assert origins(data.test) == [(c, i) for c in range(2) for i in range(3)]


def test_every_layout_of_the_same_files_gives_the_same_splits(tmp_path: Path) -> None:
    train, test = make_pictures(10), make_pictures(2)
    both = make_pictures(10, under="train/") | make_pictures(2, under="test/")
    wrapped = {f"cifar/{name}": content for name, content in both.items()}
    (tmp_path / "archives").mkdir()
    write_zip(tmp_path / "archives" / "train.zip", train)
    write_tar(tmp_path / "archives" / "test.tgz", test)
    layouts = [
        write_folder(tmp_path / "folder", both),
        write_zip(tmp_path / "one.zip", wrapped),
        write_tar(tmp_path / "one.tar", dict(reversed(both.items()))),
        tmp_path / "archives",
    ]
    splits = [load(path) for path in layouts]
    assert len({tuple(origins(data.train)) for data in splits}) == 1
    assert len({tuple(origins(data.reward)) for data in splits}) == 1
    assert {len(data.test) for data in splits} == {4}


def test_one_source_is_cut_into_80_10_10_and_no_image_is_in_two(tmp_path: Path) -> None:
    data = load(write_folder(tmp_path, make_pictures(20)))
    parts = [origins(part) for part in (data.train, data.reward, data.test)]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert sorted(parts[0] + parts[1] + parts[2]) == [(c, i) for c in range(2) for i in range(20)]


def test_val_is_for_rewards_beside_test_and_the_test_set_alone(tmp_path: Path) -> None:
    files = make_pictures(10, under="train/") | make_pictures(2, under="val/")
    alone = load(write_folder(tmp_path / "two", files))
    assert (len(alone.train), len(alone.reward), len(alone.test)) == (18, 2, 4)
    beside = load(write_folder(tmp_path / "three", files | make_pictures(3, under="test/")))
    assert (len(beside.train), len(beside.reward), len(beside.test)) == (20, 4, 6)


def test_calibration_is_the_start_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.zoo.data.CALIBRATION_IMAGES", 7)
    data = load(write_folder(tmp_path, make_pictures(20)))
    assert origins(data.calibration) == origins(data.train)[:7]


def test_seed_draws_other_splits(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_pictures(20))
    assert origins(load(folder, seed=1).train) == origins(load(folder, seed=1).train)
    assert origins(load(folder, seed=1).train) != origins(load(folder, seed=0).train)


def test_classes_are_the_folders_in_alphabetical_order(tmp_path: Path) -> None:
    files = make_pictures(5, ("zebra", "ant", "mole"))
    assert load(write_zip(tmp_path / "a.zip", files)).classes == ("ant", "mole", "zebra")


def test_images_are_normalised_by_channel(tmp_path: Path) -> None:
    data = load_data(
        write_folder(tmp_path, make_pictures(10)), image_size=(8, 8), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125)
    )
    pixel = torch.tensor([50 * (data.train.labels[0] + 1), origins_green(data.train), 0]) / 255
    expected = (pixel - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.25, 0.125])
    image, label = data.train[0]
    assert torch.allclose(image[:, 3, 3], expected, atol=1e-6)
    assert label == data.train.labels[0]


def test_grey_networks_get_one_channel(tmp_path: Path) -> None:
    data = load_data(write_folder(tmp_path, make_pictures(10)), image_size=(8, 8), mean=(0.5,), std=(0.5,))
    assert data.train[0][0].shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no image in it"),
        ({"a.png": encode((1, 2, 3)), "b/c.png": encode((1, 2, 3))}, r"a\.png is not in a class folder"),
        (make_pictures(20, ("cat",)), "all images are in one class folder, 'cat'"),
        (make_pictures(2), "4 images are too few"),
        (make_pictures(10, under="train/") | make_pictures(2, ("cow", "dog"), "test/"), "train/ lacks .* cow"),
    ],
)
def test_unusable_source_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        load(write_folder(tmp_path / "data", {"README.md": b"", **files}))
    assert str(error.value).startswith(str(tmp_path / "data"))


@pytest.mark.parametrize(("mean", "std"), [((0.5,) * 2, (0.5,) * 2), ((0.5,) * 3, (0.5,)), ((0.5,), (0.0,))])
def test_normalisation_that_fits_no_image_is_refused(tmp_path: Path, mean: tuple[float], std: tuple[float]) -> None:
    with pytest.raises(ConfigError, match="mean and std need 1 or 3 numbers each"):
        load_data(tmp_path, image_size=(8, 8), mean=mean, std=std)


def test_digits_are_not_given_to_a_network_for_other_images() -> None:
    with pytest.raises(ConfigError, match="grey images of 8x8 pixels, the network takes 3 x 32 x 32"):
        load_data("digits", image_size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)


def test_dataset_behaves_like_a_sequence(tmp_path: Path) -> None:
    train = load(write_folder(tmp_path, make_pictures(10))).train
    assert torch.equal(train[-1][0], train[len(train) - 1][0])
    with pytest.raises(IndexError, match="image 16 of 16"):
        train[16]


def test_labels_without_a_logit_are_refused() -> None:
    check_labels(torch.tensor([0, 9]), 10)
    with pytest.raises(DataError, match="labels run from 0 to 9, but the network has 8 classes"):
        check_labels(torch.tensor([0, 9]), 8)
    with pytest.raises(DataError, match="labels run from -1 to 3"):
        check_labels(torch.tensor([3, -1]), 8)


@pytest.mark.shared
def test_cifar_archives_have_the_documented_splits() -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg"
    if not folder.is_dir():
        pytest.skip("CIFAR-10 (JPEG) is not here")
    data = load_data(folder, image_size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert [len(x) for x in (data.train, data.calibration, data.reward, data.test)] == [45_000, 1_000, 5_000, 10_000]
    assert data.classes[0] == "airplane"
    assert data.classes[-1] == "truck"
