"""Count of the multiply-accumulates of a real forward pass, by torch's own counter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gnnrl.modules.copies import copied
from gnnrl.modules.modes import evaluating
from gnnrl.network.labelling.operations.products import letters_of, pairs_of
from gnnrl.network.labelling.operations.recurrent import RULES
from gnnrl.network.tracing.tracer import as_arguments, plain_attention


def count_macs(model: nn.Module, example_inputs: Any) -> int:
    """Count the multiply-accumulates of a forward pass: half of torch's FLOPs, and products that torch does not see."""
    uncounted = _Uncounted()
    with (
        _constant(model),
        sdpa_kernel(SDPBackend.MATH),
        plain_attention(),
        uncounted,
        FlopCounterMode(display=False) as counter,
    ):
        # torch counts both branches of `torch.cond` if it has counted something before, else only the costlier one
        torch.ones(1, 1).mm(torch.ones(1, 1))
        run(model, example_inputs)
    return int(counter.get_total_flops()) // 2 - 1 + uncounted.macs


def run(model: nn.Module, example_inputs: Any, seed: int = 0) -> list[Tensor]:
    """Return the outputs of a forward pass in evaluation mode; random numbers in it are the same each time."""
    args, kwargs = as_arguments(copied(example_inputs))
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        return [leaf for leaf in tree_leaves(model(*args, **kwargs)) if isinstance(leaf, Tensor)]


@contextmanager
def _constant(model: nn.Module) -> Iterator[None]:
    """Switch gradients off: torch's counter hooks into graphs, which a pass without gradients does not have."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


class _Uncounted(TorchFunctionMode):
    """Counts products that torch's counter does not see, or lets it see them.

    An `einsum` that sums over one channel is multiplied element by element. Recurrent layers are one kernel of a
    library; without the library their products are seen.

    Attributes:
        macs: multiply-accumulates that torch's counter does not see.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in RULES:
            with _plain_kernels():
                return func(*args, **(kwargs or {}))
        output = func(*args, **(kwargs or {}))
        if func is torch.functional.einsum:
            equation, *operands = args
            operands = tree_leaves(operands)
            self.macs += _of_equation(equation, operands)
        return output


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Compute recurrent layers product by product, without kernels of a library."""
    set_flags: Any = torch.backends.mkldnn.set_flags  # `flags` sets TF32, too, of which torch warns
    onednn = set_flags(False, None, None, None)[0]
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        set_flags(onednn, None, None, None)


def _of_equation(equation: str, operands: Sequence[Tensor]) -> int:
    """Multiply-accumulates of products of an equation that torch computes element by element."""
    terms, output = letters_of(equation, [operand.ndim for operand in operands])
    sizes = [dict(zip(term, operand.shape, strict=True)) for term, operand in zip(terms, operands, strict=True)]
    known = {letter: max(size.get(letter, 1) for size in sizes) for letter in "".join(terms)}
    macs = 0
    for (i, j), _, result in pairs_of(terms, output):
        left, right = sizes[i], sizes[j]
        sizes = [size for at, size in enumerate(sizes) if at not in (i, j)]
        sizes.append({letter: known[letter] for letter in result})
        summed = [size for letter, size in left.items() if letter not in result and right.get(letter) == size]
        macs += prod(sizes[-1].values()) if summed and max(summed) == 1 else 0
    return macs
