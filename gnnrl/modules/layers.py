"""Which layer a parameter belongs to, and which layers no operation of the program reads."""

from collections.abc import Iterable


def layer_of(tensor: str) -> str:
    """Name of the module that a parameter or buffer belongs to, without torch's own modules of parametrizations."""
    layer, parametrized, _ = tensor.partition(".parametrizations.")
    return layer if parametrized else layer.rpartition(".")[0]


def find_unrun(parameters: Iterable[str], read: Iterable[str]) -> tuple[str, ...]:
    """Outermost modules with parameters, none of which is read, in the order of the network.

    Args:
        parameters: names of all parameters.
        read: names of the parameters and buffers that some operation reads.
    """
    known = {prefix for name in read for prefix in _prefixes(name)}
    unread = [name for name in parameters if not known.issuperset(_prefixes(name))]
    outermost = [next(prefix for prefix in _prefixes(name) if prefix not in known) for name in unread]
    return tuple(dict.fromkeys(outermost))


def _prefixes(name: str) -> list[str]:
    """Names of the modules around a parameter, outermost first."""
    parts = name.split(".")[:-1]
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
