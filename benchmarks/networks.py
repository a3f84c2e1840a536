"""Networks of the benchmarks beside the CIFAR ResNets, for images [N, 3, 32, 32] of ten classes."""

from small_networks import conv_next, vision_transformer
from torch import nn
from torchvision.models import MobileNetV2

__all__ = ["MEAN", "STD", "conv_next", "mobilenet", "vision_transformer"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def mobilenet() -> nn.Module:
    """MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381) of half its width, for 32x32 pixels.

    The first convolution and the first two blocks that halve the resolution keep it.
    """
    network = MobileNetV2(num_classes=10, width_mult=0.5, dropout=0.0)
    halvings = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.stride == (2, 2)]
    for convolution in halvings[:3]:
        convolution.stride = (1, 1)
    return network
