"""The table of all rules, by the name of the operation. What is not in it freezes what it touches."""

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
