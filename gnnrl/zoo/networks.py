"""Residual networks: the CIFAR ResNets of the paper, and a small one for 8x8 digits.

Both consist of the basic block of He et al. 2015 (https://arxiv.org/abs/1512.03385), whose shortcut has no weights
("option A"): it takes every second pixel and pads the missing channels with zeros. State dicts have the names of
https://github.com/akamaster/pytorch_resnet_cifar10, so its published weights load unchanged.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.errors import ConfigError


class BasicBlock(nn.Module):
    """Add two 3x3 convolutions to a shortcut: [N, inputs, H, W] -> [N, width, H / stride, W / stride].

    Args:
        inputs: channels of the input.
        width: channels of both convolutions, `inputs` plus an even number.
        stride: 1 keeps the resolution, 2 halves it.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.padding = (width - inputs) // 2
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(convolutions(x) + shortcut(x))."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """Take every `stride`-th pixel and pad the channels with zeros on both sides."""
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.padding:
            x = F.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        return x


class ResidualNetwork(nn.Module):
    """Classify images [N, channels, H, W] into logits [N, classes]: three stages of blocks, then the mean.

    The second and the third stage double the width and halve the resolution.

    Args:
        blocks: basic blocks in each stage.
        channels: channels of the images.
        classes: number of logits.
    """

    def __init__(self, blocks: int, *, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, width, stride)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def cifar_resnet(depth: int, classes: int = 10) -> ResidualNetwork:
    """Build the CIFAR ResNet of `depth` = 6n + 2 weighted layers for images [N, 3, 32, 32], initialised at random.

    Raises:
        ConfigError: the depth is not 6n + 2.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        near = max(8, 6 * round((depth - 2) / 6) + 2)
        raise ConfigError(f"a CIFAR ResNet has 6n + 2 layers (20, 32, 44, 56, 110, ...), not {depth}; try {near}.")
    return ResidualNetwork(blocks, channels=3, classes=classes)


def digits_resnet() -> ResidualNetwork:
    """Build the residual network of 14 layers for the embedded digits [N, 1, 8, 8], initialised at random."""
    return ResidualNetwork(blocks=2, channels=1, classes=10)
