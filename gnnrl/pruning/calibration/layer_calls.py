"""Calls of layers with weights, and of normalisations, as data.

Group, layer and root-mean-square normalisations count as layers: their scale and shift are the weights of a layer with
one input for each output, the normalised value.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
SCALINGS = ("group_norm", "layer_norm", "rms_norm")
_CHANNELS_LAST = ("linear", "layer_norm", "rms_norm")
_CONVOLUTION_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONVOLUTION_DEFAULTS = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
NAMES = {
    **dict.fromkeys(CONVOLUTIONS, _CONVOLUTION_NAMES),
    "linear": _CONVOLUTION_NAMES[:3],
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
}
DEFAULTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(CONVOLUTIONS, _CONVOLUTION_DEFAULTS),
    "linear": {"bias": None},
    "group_norm": {"weight": None, "bias": None, "eps": 1e-5},
    "layer_norm": {"weight": None, "bias": None, "eps": 1e-5},
    "rms_norm": {"weight": None, "eps": None},
}
NORM_NAMES = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
NORM_DEFAULTS = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}


@dataclass(slots=True, eq=False)
class LayerCall:
    """One call of a convolution, a linear layer, or a normalisation with a scale.

    Attributes:
        order: number of the call among all layer calls of the forward pass.
        arguments: arguments by name, tensors included.
        norm: arguments of the batch normalisation that directly follows, by their names.
        scale: factor that the outputs are directly multiplied with (layer scale), one number for each channel.
        source: the layer whose outputs a normalisation reads.
        normed: direction [O, I, *kernel] and length [O, 1, ...] that a weight norm computes the weight from.
        reads: number of functions that read the output, without its normalisation and scale.
    """

    order: int
    kind: str
    arguments: dict[str, Any]
    norm: dict[str, Any] | None = None
    scale: Tensor | None = None
    source: "LayerCall | None" = None
    reads: int = 0
    normed: tuple[Tensor, Tensor] | None = None

    @property
    def parameter(self) -> Tensor:
        """The parameter that holds the weight, or its direction."""
        return self.weight if self.normed is None else self.normed[0]

    @property
    def weight(self) -> Tensor:
        """Weight [O, I, *kernel], or [O] of a normalisation."""
        weight: Tensor = self.arguments["weight"]
        return weight

    @property
    def bias(self) -> Tensor | None:
        """Bias [O]."""
        return self.arguments.get("bias")

    @property
    def matrix(self) -> Tensor:
        """Weight as a matrix [O, p], p = inputs of one output."""
        return self.weight.reshape(len(self.weight), -1)

    @property
    def input(self) -> Tensor:
        """The tensor that the layer reads."""
        value: Tensor = self.arguments["input"]
        return value

    @property
    def groups(self) -> int:
        """Number of parts of the outputs that read different parts of the inputs."""
        return len(self.weight) if self.kind in SCALINGS else int(self.arguments.get("groups", 1))

    @property
    def channel_dim(self) -> int:
        """Dimension of the channels in the output."""
        return -1 if self.kind in _CHANNELS_LAST else 1

    @property
    def rows(self) -> int:
        """Number of rows that it reads; a narrower network has fewer if channels are rows, as in MLP-Mixers."""
        last = self.kind in _CHANNELS_LAST
        return self.input.numel() // self.input.shape[-1] if last else len(self.input)

    def assign(self, weight: Tensor) -> None:
        """Change the weight, and the parameters that it is computed from."""
        self.weight.copy_(weight.view_as(self.weight))
        if self.normed is not None:
            direction, length = self.normed
            direction.copy_(self.weight)
            length.copy_(direction.flatten(1).norm(dim=1).view_as(length))

    @property
    def factor(self) -> Tensor:
        """Factor of each output by the normalisation or scale that follows [O]."""
        if self.norm is not None:
            return norm_scale(self.norm)
        return self.weight.new_ones(len(self.weight)) if self.scale is None else self.scale.flatten()

    def run(self) -> Tensor:
        """Compute the layer, and the normalisation and scale that follow it, with the parameters as they are now."""
        home = torch if self.kind in CONVOLUTIONS else torch.nn.functional
        output: Tensor = getattr(home, self.kind)(**self.arguments)
        if self.norm is not None:
            output = normalise(output, self.norm)
        return output if self.scale is None else output * self.scale

    def later(self, dense: torch.Size) -> Tensor:
        """Return an empty tensor for an output that is computed later; its shape is the dense layer's but for O."""
        shape = list(dense)
        shape[self.channel_dim] = len(self.weight)
        like_images = self.kind == "conv2d" and self.input.is_contiguous(memory_format=torch.channels_last)
        found: Tensor = torch.empty(
            shape,
            dtype=self.weight.dtype,
            device=self.weight.device,
            memory_format=torch.channels_last if like_images else torch.contiguous_format,
        )
        return found

    def mean_output(self, inputs: Tensor) -> Tensor:
        """Return the mean of the outputs [O] for the mean of the inputs [I · k] at all positions."""
        weight = self.matrix.reshape(self.groups, -1, self.matrix.shape[1]).to(inputs.dtype)
        found = torch.einsum("goi,gi->go", weight, inputs.view(self.groups, -1)).flatten().to(self.weight.dtype)
        return found if self.bias is None else found + self.bias

    def unscaled(self) -> Tensor:
        """Compute the normalised values before scale and shift."""
        function = getattr(torch.nn.functional, self.kind)
        output: Tensor = function(**{**self.arguments, **dict.fromkeys(("weight", "bias") & self.arguments.keys())})
        return output


def normalise(value: Tensor, norm: dict[str, Any]) -> Tensor:
    """Compute a batch normalisation by running statistics, which stay, or by those of the batch if it is training."""
    return torch.batch_norm(
        value,
        norm["weight"],
        norm["bias"],
        norm["running_mean"],
        norm["running_var"],
        norm["training"],
        0.0,
        norm["eps"],
        torch.backends.cudnn.enabled,
    )


def norm_scale(norm: dict[str, Any]) -> Tensor:
    """Return the factor γ / σ that a batch normalisation applies to each channel [C]."""
    variance: Tensor = norm["running_var"]
    scale: Tensor = norm["weight"] if norm["weight"] is not None else torch.ones_like(variance)
    factor: Tensor = (variance + norm["eps"]).rsqrt()
    return scale * factor
