"""All rules by name of the operation. An operation without a rule freezes everything that it reads."""

from gnnrl.network.labelling.operations import (
    along,
    attention,
    dense,
    indexing,
    normalisation,
    pointwise,
    products,
    recurrent,
    reductions,
    shapes,
)
from gnnrl.network.labelling.operations.call import Rule

_FILES = (along, attention, dense, indexing, normalisation, pointwise, products, recurrent, reductions, shapes)
RULES: dict[str, Rule] = {name: rule for file in _FILES for name, rule in file.RULES.items()}
