"""States that a network keeps between calls: tensors that `forward` assigns to attributes, or changes in place.

A narrower network would start from the state of the dense one, in the dense shapes.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gnnrl.errors import TraceError
from gnnrl.modules.copies import copied
from gnnrl.network.tracing.user_code import assignment

_State = dict[tuple[str, str], tuple[Tensor, int]]


def run_watched(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], log: AbstractContextManager[Any]
) -> Any:
    """Run a network inside `log`, and run it again if it changed tensors of its own. Return the first outputs.

    Tensors that are made once, such as the anchors of a detector, are allowed.

    Raises:
        TraceError: the second run returns something else. The message names the attributes and the line.
    """
    before, numbers = _states(model), torch.get_rng_state()
    with log:
        outputs = model(*copied(args), **copied(kwargs))
    changed = [key for key, state in _states(model).items() if key not in before or not _is_same(before[key], state)]
    if not changed:
        return outputs
    kept = copied(outputs)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(numbers)
        again = model(*copied(args), **copied(kwargs))
    if all(_is_equal(a, b) for a, b in zip(tree_leaves(kept), tree_leaves(again), strict=False)):
        return kept
    lines = [(name, assignment(type(model.get_submodule(path)), name)) for path, name in changed]
    named = ", ".join(f"{name} ({line})" if line else name for name, line in lines)
    owner = changed[0][0] or type(model).__name__
    raise TraceError(
        f"{type(model).__name__} cannot be traced: {owner} keeps a state between calls in {named}, and a second call "
        "with the same inputs returns something else. Make the state an input and an output of forward"
    )


def _states(model: nn.Module) -> _State:
    """Return the tensors among the attributes and buffers of all modules, with the number of changes in place."""
    found: _State = {}
    for path, module in model.named_modules():
        for name, value in {**vars(module), **module._buffers}.items():
            if isinstance(value, Tensor) and not value.is_inference():
                found[path, name] = value, value._version
    return found


def _is_same(a: tuple[Tensor, int], b: tuple[Tensor, int]) -> bool:
    return a[0] is b[0] and a[1] == b[1]


def _is_equal(a: Any, b: Any) -> bool:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return True
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
