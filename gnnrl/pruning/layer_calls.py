"""Watch a network while it runs: every call of a layer with weights, batch normalisation and addition, in order.

A `TorchFunctionMode` sees the calls of `torch.nn.functional`, whoever makes them, so any user's module is covered and
no hook has to find the right place. A dense network and its pruned copy run the same Python code, so the same number
names the same call in both.
"""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
_ADDITIONS = {"add", "add_", "__add__", "__radd__", "__iadd__"}
_CONVOLUTION_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONVOLUTION_DEFAULTS = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_NORM_NAMES = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_NORM_DEFAULTS = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}


@dataclass(slots=True, eq=False)
class LayerCall:
    """One call of a convolution or linear layer.

    Attributes:
        order: number of the call among all layer calls of the forward pass.
        arguments: arguments by name, tensors included.
        norm: the batch normalisation that directly follows, by the names of its arguments.
    """

    order: int
    kind: str
    arguments: dict[str, Any]
    norm: dict[str, Any] | None = None

    @property
    def weight(self) -> Tensor:
        """Weight [O, I, *kernel]."""
        weight: Tensor = self.arguments["weight"]
        return weight

    @property
    def input(self) -> Tensor:
        """What the layer reads."""
        value: Tensor = self.arguments["input"]
        return value

    @property
    def dense(self) -> bool:
        """Whether every output reads every input channel."""
        return int(self.arguments.get("groups", 1)) == 1

    @property
    def rows(self) -> int:
        """Rows that it reads; a narrower network has fewer where channels are rows (a linear layer over positions)."""
        return self.input.numel() // self.input.shape[-1] if self.kind == "linear" else len(self.input)

    def run(self) -> Tensor:
        """Compute the layer, with the normalisation that follows it, from what its parameters are now."""
        function = torch.nn.functional.linear if self.kind == "linear" else getattr(torch, self.kind)
        output: Tensor = function(**self.arguments)
        return output if self.norm is None else normalise(output, self.norm)


def normalise(value: Tensor, norm: dict[str, Any]) -> Tensor:
    """Batch normalisation by running statistics."""
    return torch.batch_norm(
        value,
        norm["weight"],
        norm["bias"],
        norm["running_mean"],
        norm["running_var"],
        False,
        0.0,
        norm["eps"],
        torch.backends.cudnn.enabled,
    )


@dataclass(slots=True)
class _Origin:
    """Which layer call made a tensor, for as long as the tensor lives unchanged."""

    tensor: "weakref.ReferenceType[Tensor]"
    version: int
    call: LayerCall


@dataclass(slots=True)
class Sampler:
    """Chooses positions of layer inputs and outputs, the same for every network and run.

    Attributes:
        per_input: samples for each input of a weight (C · k); more only cost time.
        work: bound on samples · inputs², so that wide layers stay affordable.
    """

    per_input: int = 8
    work: float = 1e11
    least: int = 2048

    def count(self, inputs: int) -> int:
        """Number of samples for a weight with this many inputs."""
        return int(max(min(max(self.per_input * inputs, self.least), self.work / inputs**2), 2 * inputs))

    def patches(self, call: LayerCall, samples: int) -> Tensor:
        """Inputs of the chosen positions [n, I · k], in the order of `weight.flatten(1)`."""
        if call.kind == "linear":
            return _rows(call.input, samples)
        rank, weight = CONVOLUTIONS[call.kind], call.weight
        stride, dilation = (_tuple(call.arguments[name], rank) for name in ("stride", "dilation"))
        windows = _padded(call, rank, dilation)
        for dim in range(rank):
            reach = (weight.shape[2 + dim] - 1) * dilation[dim] + 1
            windows = windows.unfold(2 + dim, reach, stride[dim])[..., :: dilation[dim]]
        return _stacked([part.movedim(1, 1 + rank) for part in _grid(windows, rank, samples)], 1 + rank)

    def outputs(self, value: Tensor, kind: str, samples: int) -> Tensor:
        """Outputs at the chosen positions [n, O]."""
        if kind == "linear":
            return _rows(value, samples)
        rank = CONVOLUTIONS[kind]
        return _stacked([part.movedim(1, -1) for part in _grid(value, rank, samples)], 1 + rank)


def _rows(value: Tensor, samples: int) -> Tensor:
    rows = value.flatten(0, -2)
    return rows[:: max(1, len(rows) // samples)]


def _stacked(parts: Sequence[Tensor], leading: int) -> Tensor:
    """Rows [n, p] of all parts, whose first `leading` dimensions count rows; copies every element once."""
    counts = [prod(part.shape[:leading]) for part in parts]
    rows = parts[0].new_empty(sum(counts), prod(parts[0].shape[leading:]))
    for part, goal in zip(parts, rows.split(counts), strict=True):  # type: ignore[no-untyped-call]
        goal.view(part.shape).copy_(part)
    return rows


def _grid(value: Tensor, rank: int, samples: int) -> list[Tensor]:
    """Cut the spatial dimensions (2 .. 2 + rank) to a grid that moves from image to image."""
    sizes = value.shape[2 : 2 + rank]
    step = 1
    while prod(max(size // (step + 1), 1) for size in sizes) * len(value) >= samples and step < max(sizes):
        step += 1
    parts = []
    chunk = max(1, len(value) // 8)
    for number, start in enumerate(range(0, len(value), chunk)):
        part = value[start : start + chunk]
        for dim, size in enumerate(sizes):
            offset = (3 + 2 * dim) * number % min(step, size)
            part = part[(slice(None),) * (2 + dim) + (slice(offset, None, step),)]
        parts.append(part)
    return parts


def _padded(call: LayerCall, rank: int, dilation: Sequence[int]) -> Tensor:
    padding = call.arguments["padding"]
    if padding == "valid":
        return call.input
    if padding == "same":
        amounts = []
        for dim in reversed(range(rank)):
            total = dilation[dim] * (call.weight.shape[2 + dim] - 1)
            amounts += [total // 2, total - total // 2]
    else:
        amounts = [amount for size in reversed(_tuple(padding, rank)) for amount in (size, size)]
    return torch.nn.functional.pad(call.input, amounts) if any(amounts) else call.input


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value) * (rank if len(value) == 1 else 1)


@dataclass(slots=True)
class Observer:
    """What to do when a call is seen; each returns what the call returns to the network.

    Attributes:
        layer: called with a layer call.
        norm: called with the arguments of a batch normalisation and the layer call it follows, if any.
        addition: called with the number of the addition, the sum's operands and the layer call that made the first;
            may change that operand in place.
    """

    layer: Callable[[LayerCall], Tensor]
    norm: Callable[[dict[str, Any], LayerCall | None], Tensor]
    addition: Callable[[int, Tensor, Tensor, LayerCall], None]


class Watch(TorchFunctionMode):
    """Shows an observer every layer call of a forward pass."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer
        self._layers = self._additions = 0
        self._origins: dict[int, _Origin] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Intercept one function of torch."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in CONVOLUTIONS or name == "linear":
            return self._layer(name, args, kwargs)
        if name == "batch_norm" and len(args) + len(kwargs) <= len(_NORM_NAMES):
            return self._norm(args, kwargs)
        if name in _ADDITIONS and len(args) == 2 and all(isinstance(arg, Tensor) for arg in args) and not kwargs:
            self._add(*args)
        return func(*args, **kwargs)

    def _layer(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        names = _CONVOLUTION_NAMES if name in CONVOLUTIONS else _CONVOLUTION_NAMES[:3]
        defaults = {key: value for key, value in _CONVOLUTION_DEFAULTS.items() if key in names}
        call = LayerCall(self._layers, name, {**defaults, **dict(zip(names, args, strict=False)), **kwargs})
        self._layers += 1
        output = self._observer.layer(call)
        self._remember(output, call)
        return output

    def _norm(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        norm = {**_NORM_DEFAULTS, **dict(zip(_NORM_NAMES, args, strict=False)), **kwargs}
        call = self._origin(norm["input"])
        if call is not None and norm["running_mean"] is not None and norm["weight"] is not None:
            call.norm = {key: value for key, value in norm.items() if key != "input"}
        output = self._observer.norm(norm, call)
        if call is not None and call.norm is not None:
            self._remember(output, call)
        return output

    def _add(self, first: Tensor, second: Tensor) -> None:
        if first.shape != second.shape or first is second:
            return
        found = [(self._origin(a), a, b) for a, b in ((first, second), (second, first))]
        calls = [(call, a, b) for call, a, b in found if call is not None]
        if calls:
            call, branch, other = max(calls, key=lambda entry: entry[0].order)
            self._observer.addition(self._additions, branch, other, call)
        self._additions += 1

    def _remember(self, output: Tensor, call: LayerCall) -> None:
        key = id(output)
        reference = weakref.ref(output, lambda _: self._origins.pop(key, None))
        self._origins[key] = _Origin(reference, output._version, call)

    def _origin(self, tensor: Tensor) -> LayerCall | None:
        origin = self._origins.get(id(tensor))
        if origin is None or origin.tensor() is not tensor or origin.version != tensor._version:
            return None
        return origin.call


def parameter_names(model: nn.Module) -> dict[int, str]:
    """Names of all parameters by identity."""
    return {id(parameter): name for name, parameter in model.named_parameters()}
