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

RULES: dict[str, Rule] = {
    **pointwise.RULES,
    **shapes.RULES,
    **indexing.RULES,
    **reductions.RULES,
    **normalisation.RULES,
    **along.RULES,
    **attention.RULES,
    **products.RULES,
    **dense.RULES,
    **recurrent.RULES,
}
