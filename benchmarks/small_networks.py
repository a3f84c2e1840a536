"""Small networks that no published weights fit, for 32x32 images, trained in about a minute each on one thread.

Networks with group or layer normalisation, and one with recurrent layers.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from gnnrl.zoo.batches import augmented, batched
from gnnrl.zoo.data import ImageDataset

TRAINED_ON = 20_000
"""Images of the training split that the networks see in each epoch."""


class NormBlock(nn.Module):
    """A basic residual block with group normalisation: [N, inputs, H, W] -> [N, width, H / stride, W / stride]."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(4, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(4, width)
        plain = inputs == width and stride == 1
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(branch(x) + shortcut(x))."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, layer normalisation, a pointwise MLP and a layer scale (Liu et al. 2022): [N, C, H, W] -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.up = nn.Linear(channels, 4 * channels)
        self.down = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus the scaled branch."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def group_norm_resnet() -> nn.Module:
    """A ResNet of 8 layers with group normalisation."""
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.GroupNorm(4, 16), nn.ReLU()]
    blocks = [NormBlock(16, 16, 1), NormBlock(16, 32, 2), NormBlock(32, 64, 2)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def conv_next() -> nn.Module:
    """Six blocks of ConvNeXt on patches of 4x4 pixels."""
    blocks = [ConvNeXtBlock(48) for _ in range(6)]
    return nn.Sequential(nn.Conv2d(3, 48, 4, 4), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))


def vision_transformer() -> nn.Module:
    """Torchvision's vision transformer, six blocks on patches of 4x4 pixels."""
    return VisionTransformer(32, 4, num_layers=6, num_heads=4, hidden_dim=64, mlp_dim=256, num_classes=10)


class Reader(nn.Module):
    """Convolutions, then two layers of GRU that read the columns of what they saw, from both sides."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(3, 32, 1), (32, 64, 2), (64, 96, 2)]
        layers = [[nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()] for a, b, stride in sizes]
        self.features = nn.Sequential(*(layer for group in layers for layer in group))
        self.recurrent = nn.GRU(96 * 8, 128, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 10] of images [N, 3, 32, 32]."""
        columns = self.features(x).permute(0, 3, 1, 2).flatten(2)
        return self.head(self.recurrent(columns)[0].mean(1))


SMALL: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "gn-resnet8": (group_norm_resnet, 3),
    "convnext": (conv_next, 3),
    "vit": (vision_transformer, 3),
    "crnn": (Reader, 3),
}
"""How to build a network, and for how many epochs it is trained."""


def trained(name: str, data: ImageDataset, folder: Path, *, seed: int = 0) -> nn.Module:
    """A trained network, from the folder where it was trained before."""
    build, epochs = SMALL[name]
    torch.manual_seed(seed)
    model, path = build(), folder / f"{name}-{seed}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
    else:
        train(model, data, epochs, TRAINED_ON)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), path)
    return model.eval()


def train(
    model: nn.Module, data: ImageDataset, epochs: int, images: int | None = None, size: int = 64, peak: float = 2e-3
) -> None:
    """AdamW, one cycle, crop and flip, on all images or on so many of them."""
    batches = list(batched(data, size, shuffle=True))[: (images or len(data)) // size]
    optimizer = torch.optim.AdamW(model.parameters(), peak, weight_decay=0.05)
    step, steps = 0, epochs * len(batches)
    for _ in range(epochs):
        for number in torch.randperm(len(batches)).tolist():
            images, labels = batches[number]
            rate = peak * min(1.0, 10 * (step + 1) / steps) * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.param_groups[0]["lr"] = rate
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(augmented(images, "flip-crop"))
            loss = F.cross_entropy(logits.float(), labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            step += 1
        print(f"{step} of {steps} steps, loss {loss.item():.3f}", flush=True)
