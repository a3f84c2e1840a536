"""The network before and after as a drawing: each layer a bar, its thickness the channels; blocks of one kind folded.

The pale bar is the dense layer, and the full bar inside it the pruned layer. Channels that no plan can remove are grey.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

from gnnrl.report.blocks import Layer, Run
from gnnrl.report.elements import fill
from gnnrl.report.names import plural

_GAP, _HEIGHT, _THINNEST = 3, 96, 2
_NARROWEST, _WIDEST, _ROOM = 7, 18, 500
_MOST_LINEAR = 24


def is_linear(runs: Sequence[Run]) -> bool:
    """Return whether thickness is proportional to channels; it grows with their square root if widths differ much."""
    widths = [layer.dense for run in runs for layer in run.layers if layer.dense]
    return not widths or max(widths) <= _MOST_LINEAR * min(widths)


def draw_network(runs: Sequence[Run]) -> Markup:
    """Draw all runs in their order; the runs wrap like words, so the drawing fits any page."""
    widest = max((layer.dense for run in runs for layer in run.layers), default=1)
    exponent = 1 if is_linear(runs) else 0.5
    count = sum(len(block.layers) for run in runs for block in run.blocks)
    bar = min(max(_ROOM // max(count, 1), _NARROWEST), _WIDEST)

    def bars(layer: Layer) -> Iterator[tuple[str, float]]:
        """Yield class and thickness of the bars of a layer."""
        height = max(_HEIGHT * (layer.dense / widest) ** exponent, _THINNEST)
        for kind, channels in (("whole", layer.dense), ("left", layer.pruned), ("stays", layer.fixed)):
            if channels:
                yield kind, max(height * channels / max(layer.dense, 1), _THINNEST / 2)

    sizes = {"bar": bar, "gap": _GAP, "height": _HEIGHT}
    return Markup(fill("network.html", runs=runs, bars=bars, told=_told, kinds=_kinds, **sizes))


def _told(layer: Layer) -> str:
    if layer.output:
        return f"{layer.dense}, an output of the network"
    if layer.stays:
        left = f"{layer.dense}, all stay" if layer.fixed == layer.dense else f"{layer.dense} → {layer.pruned}, "
        return f"{left}{'' if layer.fixed == layer.dense else f'{layer.fixed} stay'}: {layer.stays}"
    return f"{layer.dense} → {layer.pruned}"


def _kinds(run: Run) -> str:
    """Name the layers of one block; neighbours of one kind are counted."""
    told = [(kind, len([*members])) for kind, members in groupby(run.kinds)]
    if len(told) > 4:
        return plural(len(run.kinds), "layer")
    return ", ".join(kind if many == 1 else f"{many}\u00a0×\u00a0{kind}" for kind, many in told)
