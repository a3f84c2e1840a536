"""Layers of parameters, and layers that no operation of the program reads."""

from collections.abc import Iterable


def layer_of(tensor: str) -> str:
    """Return the name of a parameter's or buffer's module, without torch's own modules of parametrizations."""
    layer, parametrized, _ = tensor.partition(".parametrizations.")
    return layer if parametrized else layer.rpartition(".")[0]


def find_unrun(parameters: Iterable[str], read: Iterable[str]) -> tuple[str, ...]:
    """Return the outermost modules with parameters of which none is read, in the order of the network.

    Args:
        parameters: names of all parameters.
        read: names of the parameters and buffers that some operation reads.
    """
    known = {prefix for name in read for prefix in _prefixes(name)}
    unread = [name for name in parameters if not known.issuperset(_prefixes(name))]
    outermost = [next(prefix for prefix in _prefixes(name) if prefix not in known) for name in unread]
    return tuple(dict.fromkeys(outermost))


def _prefixes(name: str) -> list[str]:
    """Return the names of the modules around a parameter, outermost first."""
    parts = name.split(".")[:-1]
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
