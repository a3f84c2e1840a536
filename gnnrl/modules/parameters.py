"""Which parameter a weight that a layer is called with belongs to."""

from torch import Tensor, nn


class Names:
    """Tells of which parameter a weight is all, or some rows: queries, keys and values may share one parameter."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}

    def find(self, weight: Tensor) -> tuple[str, int] | None:
        """Name of the parameter, and the first of its rows; None for a weight that is computed."""
        name = self._names.get(id(weight))
        if name is not None:
            return name, 0
        base = weight._base
        name = self._names.get(id(base))
        if base is None or name is None or base.shape[1:] != weight.shape[1:] or base.stride() != weight.stride():
            return None
        return name, int(weight.storage_offset() - base.storage_offset()) // int(base.stride(0))
