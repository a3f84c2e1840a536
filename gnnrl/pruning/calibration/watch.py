"""Watch a network while it runs: every call of a layer with weights, normalisation and addition, in order.

A `TorchFunctionMode` sees the calls of `torch.nn.functional` in any user's module, so no hook has to find the right
place. A dense network and its pruned copy run the same Python code, so the same number names the same call in both.
"""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from gnnrl.modules.attention import NarrowMultiheadAttention, narrowed
from gnnrl.modules.modes import evaluating
from gnnrl.pruning.calibration.layer_calls import (
    DEFAULTS,
    NAMES,
    NORM_DEFAULTS,
    NORM_NAMES,
    SCALINGS,
    LayerCall,
    normalise,
)
from gnnrl.pruning.calibration.readers import Readers, Unseen
from gnnrl.pruning.calibration.recurrent_calls import is_recurrent, run_layers

_ADDITIONS = {"add", "add_", "__add__", "__radd__", "__iadd__"}
_PRODUCTS = {"mul", "multiply", "__mul__", "__rmul__"}
_PERMUTATIONS = {"permute", "transpose", "movedim", "swapaxes"}
_LOOKS = {"__get__", "size", "dim", *_PERMUTATIONS}


@dataclass(slots=True)
class _Origin:
    """The layer call that made a tensor, valid while the tensor is unchanged, and the permutation since then."""

    version: int
    call: LayerCall
    dims: tuple[int, ...]

    def restored(self, value: Tensor) -> Tensor:
        """View a tensor of the permuted layout in the layout of the call."""
        return value.permute([self.dims.index(dim) for dim in range(value.ndim)])


@dataclass(slots=True)
class Observer:
    """Functions that run in place of the calls that are seen; each returns the result of its call.

    Attributes:
        layer: gets a layer call.
        norm: gets the arguments of a batch normalisation, and the layer call that it follows, if any.
        addition: gets the number of the addition, the sum's operands, both in the layout of the layer call that made
            the first, and that call; may change the first operand in place, and returns nothing.
    """

    layer: Callable[[LayerCall], Tensor]
    norm: Callable[[dict[str, Any], LayerCall | None], Tensor]
    addition: Callable[[int, Tensor, Tensor, LayerCall], None]


class Watch(TorchFunctionMode):
    """Shows an observer every layer call of a forward pass, those inside of a narrow attention too."""

    def __init__(self, observer: Observer, readers: Readers | None = None) -> None:
        super().__init__()
        self._observer = observer
        self._readers = readers
        self._depth = 0
        self._layers = self._additions = 0
        self._origins: MutableMapping[Tensor, _Origin] = WeakIdKeyDictionary()
        self._normed: MutableMapping[Tensor, tuple[Tensor, Tensor]] = WeakIdKeyDictionary()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Intercept one function of torch."""
        self._depth += 1
        try:
            return self._watched(func, args, kwargs or {})
        finally:
            self._depth -= 1

    @property
    def within(self) -> bool:
        """True while a function of torch is being called."""
        return self._depth > 0

    def see_unknown(self, values: Sequence[object]) -> None:
        """Count what is read outside the functions of torch."""
        self._count_reads(tuple(values), {})
        if self._readers is not None:
            self._readers.see_unknown(values)

    def _watched(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func is NarrowMultiheadAttention.forward:
            with self:
                return args[0].compute(*args[1:])
        name = getattr(func, "__name__", "")
        if name not in _LOOKS:
            self._count_reads(args, kwargs)
        if name in NAMES and len(args) <= len(NAMES[name]) + 1:
            call = self._call(name, args, kwargs)
            if call is not None:
                return self._layer(call)
        if is_recurrent(name, args):
            return run_layers(func, args, self._see_reading)
        if name == "batch_norm" and len(args) + len(kwargs) <= len(NORM_NAMES):
            return self._norm(args, kwargs)
        if len(args) == 2 and all(isinstance(arg, Tensor) for arg in args) and not kwargs:
            if name in _ADDITIONS:
                self._add(*args)
            elif name in _PRODUCTS:
                self._see_function(args, kwargs, output := func(*args))
                return self._multiply(output, *args)
        output = func(*args, **kwargs)
        if name == "_weight_norm" and not kwargs and len(args) in (2, 3) and args[2:] in ((), (0,)):
            self._normed[output] = args[:2]
            if self._readers is not None:
                self._readers.see_norm(args[0], output)
            return output
        self._see_function(args, kwargs, output)
        if name in _PERMUTATIONS and args and self._origin(args[0]) is not None:
            self._permute(output, func, args, kwargs)
        return output

    def _see_function(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if self._readers is not None:
            self._readers.see_function(tree_leaves((args, kwargs)), output)

    def _count_reads(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in (*args, *kwargs.values()):
            for tensor in value if isinstance(value, tuple | list) else (value,):
                origin = self._origin(tensor)
                if origin is not None:
                    origin.call.reads += 1

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LayerCall | None:
        """The call as data; None for a normalisation without a scale for each channel."""
        given = {**DEFAULTS[name], **dict(zip(NAMES[name], args, strict=False)), **kwargs}
        arguments = {key: given[key] for key in NAMES[name]}
        if name in SCALINGS and (arguments["weight"] is None or arguments["weight"].ndim != 1):
            return None
        call = LayerCall(self._layers, name, arguments, normed=self._normed.get(arguments["weight"]))
        origin = self._origin(call.input) if name in SCALINGS else None
        if origin is not None and origin.dims[call.channel_dim] == origin.call.channel_dim % len(origin.dims):
            call.source = origin.call
        self._layers += 1
        return call

    def _layer(self, call: LayerCall) -> Tensor:
        if self._readers is not None:
            self._readers.see_layer(call.arguments)
        output = self._observer.layer(call)
        self._remember(output, call)
        return output

    def _see_reading(self, arguments: dict[str, Any]) -> None:
        if self._readers is not None:
            self._readers.see_layer(arguments)
        self._observer.layer(LayerCall(self._layers, "linear", arguments))
        self._layers += 1

    def _norm(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        norm = {**NORM_DEFAULTS, **dict(zip(NORM_NAMES, args, strict=False)), **kwargs}
        if self._readers is not None:
            self._readers.see_layer(norm)
        if norm["training"]:
            return normalise(norm["input"], norm)
        origin = self._origin(norm["input"])
        call = None if origin is None or origin.dims != tuple(range(len(origin.dims))) else origin.call
        plain = call is not None and call.scale is None and call.kind not in SCALINGS
        if call is not None and plain and norm["running_mean"] is not None and norm["weight"] is not None:
            call.norm = {key: value for key, value in norm.items() if key != "input"}
        output = self._observer.norm(norm, call)
        if call is not None and call.norm is not None:
            call.reads -= 1
            self._remember(output, call)
        return output

    def _add(self, first: Tensor, second: Tensor) -> None:
        if first.shape != second.shape or first is second:
            return
        found = [(self._origin(a), a, b) for a, b in ((first, second), (second, first))]
        origins = [(origin, a, b) for origin, a, b in found if origin is not None]
        if origins:
            origin, branch, other = max(origins, key=lambda entry: entry[0].call.order)
            self._observer.addition(self._additions, origin.restored(branch), origin.restored(other), origin.call)
        self._additions += 1

    def _multiply(self, output: Tensor, first: Tensor, second: Tensor) -> Tensor:
        for value, factor in ((first, second), (second, first)):
            origin = self._origin(value)
            if origin is None or origin.call.norm is not None or origin.call.scale is not None:
                continue
            if origin.call.kind in SCALINGS or factor.ndim > value.ndim or output.shape != value.shape:
                continue
            scale = origin.restored(factor.reshape((1,) * (value.ndim - factor.ndim) + factor.shape))
            channels = len(origin.call.weight)
            if scale.numel() == channels == scale.shape[origin.call.channel_dim]:
                origin.call.scale = scale
                origin.call.reads -= 1
                self._remember(output, origin.call, origin.dims)
                break
        return output

    def _permute(self, output: Tensor, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        origin = self._origin(args[0])
        assert origin is not None
        sized = torch.empty(tuple(range(1, args[0].ndim + 1)))
        dims = tuple(origin.dims[size - 1] for size in func(sized, *args[1:], **kwargs).shape)
        self._remember(output, origin.call, dims)

    def _remember(self, output: Tensor, call: LayerCall, dims: tuple[int, ...] | None = None) -> None:
        self._origins[output] = _Origin(output._version, call, dims or tuple(range(output.ndim)))

    def _origin(self, value: object) -> _Origin | None:
        if not isinstance(value, Tensor) or (origin := self._origins.get(value)) is None:
            return None
        return origin if origin.version == value._version else None


@contextmanager
def watching(model: nn.Module, observer: Observer, readers: Readers | None = None) -> Iterator[None]:
    """Let an observer see the calls of a network, in evaluation mode, and count the readers of its parameters."""
    with evaluating(model), narrowed(model), ExitStack() as stack:
        watch = Watch(observer, readers)
        if readers is not None:
            stack.enter_context(Unseen(lambda: watch.within, watch.see_unknown))
        stack.enter_context(watch)
        yield
