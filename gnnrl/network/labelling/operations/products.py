"""Products of two tensors, all written as equations: matrix products, products with vectors, einsum.

Letters name dimensions. A letter that the output does not have is summed over, as in a matrix product.
"""

from collections.abc import Iterator, Sequence
from math import prod
from string import ascii_lowercase, ascii_uppercase

import numpy as np
from torch import fx

from gnnrl.network.labelling.operations.call import Call, Rule
from gnnrl.network.labelling.operations.pointwise import unify
from gnnrl.network.labels import Value, independent, wide
from gnnrl.network.reasons import Kind


def einsum(call: Call) -> Value:
    """Multiply and sum by an equation. Each letter is unified over all operands."""
    nodes: list[fx.Node] = call["tensors"]
    terms, output = letters_of(call["equation"], [len(call.shape_of(node)) for node in nodes])
    if any(len(set(term)) < len(term) for term in terms):
        for node in nodes:
            call.freeze(call.value(node), Kind.EQUATION)
        call.work(call.macs())
        return Value(call.shape)
    operands = [(call.value(node), call.vanishes(node)) for node in nodes]
    if len(nodes) == 1:
        return _multiplied(call, operands, terms, output)
    for (i, j), pair, result in pairs_of(terms, output, call.arguments.get("path")):
        left, right = operands[i], operands[j]
        operands = [operand for at, operand in enumerate(operands) if at not in (i, j)]
        zero = all(gone or not value.components for value, gone in (left, right))
        operands.append((_multiplied(call, [left, right], pair, result), zero))
    return operands[0][0]


def pairs_of(
    terms: Sequence[str], output: str, path: Sequence[int] | None = None
) -> Iterator[tuple[tuple[int, int], list[str], str]]:
    """Yield the products of two operands that torch computes an equation by: indices of the operands, terms, result.

    The result of each product becomes the last operand. Letters that no other operand has are summed over at once.
    """
    left = list(terms)
    for step in range(len(terms) - 1):
        i, j = (0, 1) if path is None else sorted(path[2 * step : 2 * step + 2])
        pair = [left[i], left[j]]
        left = [term for at, term in enumerate(left) if at not in (i, j)]
        wanted = {*output, *"".join(left)}
        result = "".join(sorted({*"".join(pair)} & wanted)) if left else output
        yield (i, j), pair, result
        left.append(result)


def matmul(call: Call) -> Value:
    """Multiply [..., M, K] by [..., K, N] with broadcasting, or by a vector [K]: `matmul`, `mm`, `bmm`, `mv`, `dot`."""
    return _product(call, [value for value in call.arguments.values() if isinstance(value, fx.Node)])


def _product(call: Call, nodes: Sequence[fx.Node]) -> Value:
    first, second = (len(call.shape_of(node)) for node in nodes)
    batch = ascii_lowercase[: max(first, second, 2) - 2]
    rows, columns = "M" if first > 1 else "", "N" if second > 1 else ""
    terms = [
        f"{batch[len(batch) + 2 - max(first, 2) :]}{rows}K",
        f"{batch[len(batch) + 2 - max(second, 2) :]}K{columns}",
    ]
    return multiply(call, nodes, terms, f"{batch}{rows}{columns}", counted=bool(rows and columns))


def letters_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Return terms and (implied) output of an equation, with Greek letters for the dimensions of `...`."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    dots = [rank - len(term.replace("...", "")) for term, rank in zip(left.split(","), ranks, strict=True)]
    greek = "αβγδεζηθ"[: max(dots)]
    terms = [term.replace("...", greek[len(greek) - n :]) for term, n in zip(left.split(","), dots, strict=True)]
    if not arrow:
        letters = left.replace("...", "").replace(",", "")
        output = "..." + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return terms, output.replace("...", greek)


def tensordot(call: Call) -> Value:
    """Sum products over given dimensions of both operands. The output has all other dimensions."""
    nodes = [call["self"], call["other"]]
    terms = [
        list(ascii_lowercase[: len(call.shape_of(nodes[0]))]),
        list(ascii_uppercase[: len(call.shape_of(nodes[1]))]),
    ]
    for a, b in zip(call["dims_self"], call["dims_other"], strict=True):
        terms[1][b] = terms[0][a]
    first, second = ("".join(term) for term in terms)
    return multiply(call, nodes, [first, second], "".join(x for x in first + second if (x in first) != (x in second)))


def outer(call: Call) -> Value:
    """Multiply two vectors to a matrix."""
    return multiply(call, [call["self"], call["vec2"]], ["i", "j"], "ij")


def added(call: Call) -> Value:
    """Add a tensor to a matrix product: `addmm`, `baddbmm`."""
    _, *nodes = (value for value in call.arguments.values() if isinstance(value, fx.Node))
    return unify(call, [call["self"]], call.shape, [_product(call, nodes)])


def multiply(call: Call, nodes: Sequence[fx.Node], terms: Sequence[str], output: str, *, counted: bool = True) -> Value:
    """Return the labels of a product. The letters of `terms` name the dimensions of the operands.

    Args:
        counted: whether torch counts the MACs of the product.
    """
    return _multiplied(call, [(call.value(node), call.vanishes(node)) for node in nodes], terms, output, counted)


def _multiplied(
    call: Call, operands: Sequence[tuple[Value, bool]], terms: Sequence[str], output: str, counted: bool = True
) -> Value:
    """Return the labels of a product of operands, each with whether it is zero in removed channels."""
    letters = sorted(set("".join(terms)))
    # Give each operand one dimension for every letter, so that positions correspond.
    values = [_spread(value, term, letters) for (value, _), term in zip(operands, terms, strict=True)]
    summed = {position for position, letter in enumerate(letters) if letter not in output}
    # Labels that vary along other dimensions, too, such as heads, are removed there: tie them along the summed ones.
    values = [
        Value(value.shape, tuple(c if wide(c) <= summed else call.space.pin(c, summed) for c in value.components))
        for value in values
    ]
    if counted and (contracted := summed & _shared(letters, terms, values)):
        _state_work(call, [_without(value, summed - contracted) for value in values])
    # Tie the labels of both operands, and freeze those whose removed channels would add to a sum.
    for value in values:
        for dim in summed & value.labelled():
            sharing = (gone for (_, gone), other in zip(operands, values, strict=True) if other.varying(dim))
            if not any(sharing):
                call.freeze(value, Kind.COUNTED, [dim])
    sizes = [max(each) for each in zip(*(value.shape for value in values), strict=True)]
    merged = unify(call, [], sizes, values).components
    # Drop the summed dimensions, and bring the others into the order of the output.
    order = [letters.index(letter) for letter in output]
    kept = [component for component in merged if not wide(component) <= summed]
    moved = (
        component.transpose([*order, *sorted(summed)]).squeeze(tuple(range(-len(summed), 0))) for component in kept
    )
    return Value(tuple(sizes[at] for at in order), tuple(moved))


def _spread(value: Value, term: str, letters: Sequence[str]) -> Value:
    """Return a value with one dimension for every letter."""
    order = [term.index(letter) for letter in letters if letter in term]

    def spread(shape: Sequence[int]) -> list[int]:
        sizes = dict(zip(term, shape, strict=True))
        return [sizes.get(letter, 1) for letter in letters]

    components = [component.transpose(order).reshape(spread(component.shape)) for component in value.components]
    return Value(tuple(spread(value.shape)), tuple(components))


def _shared(letters: Sequence[str], terms: Sequence[str], values: Sequence[Value]) -> set[int]:
    """Return the dimensions that both operands have in the same size. All others are summed before the product."""
    if len(terms) < 2:
        return set()
    both = (position for position, letter in enumerate(letters) if all(letter in term for term in terms))
    return {position for position in both if len({value.shape[position] for value in values}) == 1}


def _without(value: Value, dims: set[int]) -> Value:
    """Return a value that was summed over dimensions."""
    at = tuple(slice(0, 1) if dim in dims else slice(None) for dim in range(len(value.shape)))
    shape = tuple(1 if dim in dims else size for dim, size in enumerate(value.shape))
    return Value(shape, tuple(component[at] for component in value.components))


def _state_work(call: Call, values: Sequence[Value]) -> None:
    """State the MACs: the product of all sizes. A dimension that both operands share counts once."""
    sizes = [max(shape) for shape in zip(*(value.shape for value in values), strict=True)]
    chosen = independent(component for value in values for component in value.components)
    call.work(prod(sizes) // prod(component.size for component in chosen), *(np.ravel(c) for c in chosen))


def weight_norm(call: Call) -> Value:
    """Scale the direction v [O, I, ...] of every output to the length g. Removed inputs add nothing to a length."""
    direction = call.value("v", (0, 1))
    lengths = call.value("g", (int(call["dim"]),))
    dim = int(call["dim"]) % len(call.shape)
    call.tie(call.along(direction, dim), call.along(lengths, dim), Kind.FIXED_OPERAND)
    return direction


RULES: dict[str, Rule] = {
    "einsum": einsum,
    "tensordot": tensordot,
    **dict.fromkeys(["matmul", "bmm", "mm", "mv", "dot", "vdot"], matmul),
    "outer": outer,
    **dict.fromkeys(["addmm", "baddbmm"], added),
    "_weight_norm": weight_norm,
}
