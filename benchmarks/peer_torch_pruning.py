"""Torch-Pruning 1.6.1 on the CIFAR and digits ResNets, with the help by hand that their padding shortcuts need.

Its graph cannot follow a shortcut that pads channels with zeros. So it prunes a twin whose padding shortcuts are
convolutions with a fixed 0/1 matrix, a module of its own kind: its inputs go with the stream before, its outputs with
the stream after, and no criterion looks at its weights. Afterwards the matrix becomes a selection of channels, which
computes the same and has no multiply-accumulates.

The pruner is run as in Torch-Pruning's own benchmark: ranking over the whole network, in many small steps, until the
limit holds. For Taylor the gradients are renewed on the calibration images as it goes. The classifier keeps its
outputs.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnrl.zoo.networks import BasicBlock

VERSION = "1.6.1"
STEPS = 200
RENEWED_EVERY = 10
CRITERIA = ("magnitude", "taylor", "bn-scale")


class Padding(nn.Conv2d):
    """A shortcut as a 1x1 convolution with a fixed matrix: takes every `stride`-th pixel, pads channels with zeros."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(inputs, width, 1, stride, bias=False)
        matrix = torch.zeros(width, inputs)
        matrix[torch.arange(inputs) + (width - inputs) // 2, torch.arange(inputs)] = 1
        self.weight = nn.Parameter(matrix[:, :, None, None], requires_grad=False)


class Selection(nn.Module):
    """What a pruned `Padding` computes, without arithmetic: output channel i is input channel `source[i]`, or zero."""

    source: Tensor

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        matrix = padding.weight[:, :, 0, 0]
        source = torch.where(matrix.any(1), matrix.argmax(1), matrix.shape[1])
        self.register_buffer("source", source)
        self.stride = padding.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        strided = x[:, :, :: self.stride, :: self.stride]
        return F.pad(strided, (0, 0, 0, 0, 0, 1)).index_select(1, self.source)


class TwinBlock(BasicBlock):
    """A block whose shortcut is a module of its own, `path`."""

    path: nn.Module

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what the module makes of it."""
        shortcut: Tensor = self.path(x)
        return shortcut


def twin(model: nn.Module) -> nn.Module:
    """Copy a residual network with its padding shortcuts as convolutions."""
    found = copy.deepcopy(model)
    for block in found.modules():
        if isinstance(block, BasicBlock) and (block.padding or block.stride != 1):
            block.__class__ = TwinBlock
            block.path = Padding(block.conv1.in_channels, block.conv1.out_channels, block.stride)
    return found


def selecting(model: nn.Module) -> nn.Module:
    """Replace the convolutions of a twin by selections, in place."""
    for block in model.modules():
        if isinstance(block, TwinBlock) and isinstance(block.path, Padding):
            block.path = Selection(block.path)
    return model


def prune(
    model: nn.Module,
    example: Tensor,
    criterion: str,
    holds: Callable[[nn.Module], bool],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    global_pruning: bool = True,
) -> nn.Module:
    """Prune a copy until `holds` says that the limit is met.

    Args:
        criterion: one of `CRITERIA`.
        holds: gets the network with selections, as it would be used.
        batches: labelled images for Taylor.

    Raises:
        ImportError: Torch-Pruning is not installed.
        RuntimeError: it cannot reach the limit.
    """
    import torch_pruning

    small = twin(model).train(False)
    chosen = {
        "magnitude": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
        "taylor": torch_pruning.importance.GroupTaylorImportance,
        "bn-scale": torch_pruning.importance.BNScaleImportance,
    }[criterion]()
    if criterion == "taylor":
        _collect_gradients(small, batches)
    pruner = torch_pruning.pruner.BasePruner(
        small,
        example,
        importance=chosen,
        global_pruning=global_pruning,
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[module for module in small.modules() if isinstance(module, nn.Linear)],
        customized_pruners={Padding: _padding_pruner(torch_pruning)},
    )
    for step in range(1, STEPS):
        if criterion == "taylor" and step % RENEWED_EVERY == 0:
            _collect_gradients(small, batches)
        pruner.step()
        candidate = selecting(copy.deepcopy(small))
        if holds(candidate):
            return candidate.requires_grad_(True).eval()
    raise RuntimeError(f"Torch-Pruning does not meet the limit with {criterion}")


def _padding_pruner(torch_pruning: Any) -> Any:
    """Prunes the matrix; its functions are its own, so no importance looks at it."""

    class PaddingPruner(torch_pruning.pruner.function.ConvPruner):  # type: ignore[misc]
        def prune_out_channels(self, layer: Padding, idxs: list[int]) -> Padding:
            return super().prune_out_channels(layer, idxs)

        def prune_in_channels(self, layer: Padding, idxs: list[int]) -> Padding:
            return super().prune_in_channels(layer, idxs)

    return PaddingPruner()


def _collect_gradients(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    model.zero_grad()
    for images, labels in batches:
        torch.autograd.backward(F.cross_entropy(model(images), labels))
