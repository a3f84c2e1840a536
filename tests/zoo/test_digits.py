"""The embedded digits and the network shipped for them."""

import torch

from gnnrl.training import evaluator
from gnnrl.zoo.data import load_data
from gnnrl.zoo.digits import DIGITS_FILE, DIGITS_MEAN, DIGITS_STD, DIGITS_WEIGHTS, REWARD, TEST, TRAIN, load_digits
from gnnrl.zoo.models import resolve_model


def test_digits_are_1797_grey_images_with_ten_balanced_classes() -> None:
    images, labels = load_digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert images.unique().tolist() == [255 * ink // 16 for ink in range(17)]
    assert all(170 <= count <= 190 for count in labels.bincount().tolist())


def test_splits_cover_every_digit_once() -> None:
    seen = [i for part in (TRAIN, REWARD, TEST) for i in range(1797)[part]]
    assert seen == list(range(1797))


def test_normalised_training_digits_have_mean_zero_and_variance_one() -> None:
    train = load_data("digits", image_size=(8, 8), mean=DIGITS_MEAN, std=DIGITS_STD).train
    images, _ = train.batch(torch.arange(len(train)))
    assert abs(images.mean()) < 0.01
    assert abs(images.std() - 1) < 0.01


def test_shipped_network_recognises_digits_it_has_never_seen() -> None:
    data = load_data("digits", image_size=(8, 8), mean=DIGITS_MEAN, std=DIGITS_STD)
    model = resolve_model("digits-resnet", pretrained=True)
    assert evaluator(data.test)(model) >= 0.985
    assert evaluator(data.reward)(model) >= 0.985


def test_shipped_files_stay_small() -> None:
    assert DIGITS_FILE.stat().st_size < 200_000
    assert DIGITS_WEIGHTS.stat().st_size < 1_000_000
