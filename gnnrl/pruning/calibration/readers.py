"""Readers of the parameters and buffers of a network: a tensor with two readers must not be solved for one of them.

Functions of torch are seen when they are called. Script functions and extensions are not seen, but their operations
are: a tensor that an operation reads outside of a seen function has an unknown reader.
"""

from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

_OWN = ("weight", "bias", "running_mean", "running_var")


class Readers:
    """Counts the readers of each parameter and buffer of a network in one forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(value): name for name, value in (*model.named_parameters(), *model.named_buffers())}
        self._own: Counter[str] = Counter()
        self._others: set[str] = set()
        self._normed: MutableMapping[Tensor, str] = WeakIdKeyDictionary()

    def see_norm(self, direction: Tensor, weight: Tensor) -> None:
        """Note a weight that a weight norm computes: who reads it reads its direction."""
        name = self.name(direction)
        if name is not None:
            self._normed[weight] = name

    def name(self, value: object) -> str | None:
        """Return the name of the parameter or buffer that this is, is a view of, or is the normalised weight of."""
        if not isinstance(value, Tensor):
            return None
        return self._names.get(id(value)) or self._names.get(id(value._base)) or self._normed.get(value)

    def see_layer(self, arguments: dict[str, Any]) -> None:
        """Count a layer or normalisation that reads its own parameters."""
        for key, value in arguments.items():
            name = self.name(value)
            if name is None:
                continue
            if key not in _OWN:
                self._others.add(name)
            elif key != "weight" or value._base is None:  # of rows of a weight, each may have its reader
                self._own[name] += 1

    def see_function(self, arguments: Iterable[object], output: object) -> None:
        """Count a function, unless it makes a view, which reads nothing yet."""
        made = {name for leaf in tree_leaves(output) if (name := self.name(leaf)) is not None}
        tensors = any(isinstance(leaf, Tensor) for leaf in tree_leaves(output))
        if tensors:
            self._others |= {name for value in arguments if (name := self.name(value)) is not None} - made

    def see_unknown(self, values: Iterable[object]) -> None:
        """Count an unknown reader of these tensors."""
        self._others |= {name for value in values if (name := self.name(value)) is not None}

    @property
    def shared(self) -> frozenset[str]:
        """Names of parameters and buffers that more than one layer reads, or anything that is not a layer."""
        return frozenset(self._others | {name for name, count in self._own.items() if count > 1})


class Unseen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Reports the tensors that operations read while no function of torch is being called."""

    def __init__(self, within: Callable[[], bool], report: Callable[[Sequence[object]], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._within, self._report = within, report

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation."""
        if not self._within():
            self._report(tree_leaves((args, kwargs)))
        return func(*args, **(kwargs or {}))
