"""What the examples work on: the shipped digits network, its images and the arguments that every search shares."""

from typing import Any

from torch import nn

from gnnrl.training import evaluator
from gnnrl.zoo.batches import batched
from gnnrl.zoo.data import DataSplits, load_data
from gnnrl.zoo.models import input_spec, resolve_model


def load_digits() -> tuple[nn.Module, DataSplits]:
    """The network and its images, in the size and normalisation that it was trained with."""
    spec = input_spec("digits-resnet")
    images = load_data("digits", image_size=(spec.shape[2], spec.shape[3]), mean=spec.mean, std=spec.std)
    return resolve_model("digits-resnet", pretrained=True), images


def judges(digits: DataSplits) -> dict[str, Any]:
    """Reward, calibration and test images as `compare` and `compress` take them."""
    return {
        "evaluate": evaluator(digits.reward, "loss"),
        "calibration": batched(digits.train, 250),
        "test": evaluator(digits.test),
    }
