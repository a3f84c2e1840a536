"""Names of the parameters that layers are called with."""

from torch import Tensor, nn


class Names:
    """Names of the parameters that weights are all or some rows of: queries, keys and values may share a parameter."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}

    def find(self, weight: Tensor) -> tuple[str, int] | None:
        """Return the name of the parameter and the weight's first row in it, or None if the weight is computed."""
        name = self._names.get(id(weight))
        if name is not None:
            return name, 0
        base = weight._base
        name = self._names.get(id(base))
        if base is None or name is None or base.shape[1:] != weight.shape[1:] or base.stride() != weight.stride():
            return None
        return name, int(weight.storage_offset() - base.storage_offset()) // int(base.stride(0))
