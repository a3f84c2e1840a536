"""The network before and after as a drawing: each layer a bar, its thickness the channels; blocks of one kind folded.

The pale bar is the dense layer, and the full bar inside it the pruned layer. Channels that no plan can remove are grey.
"""

from collections.abc import Sequence
from math import sqrt

from markupsafe import Markup

from gnnrl.report.blocks import Block, Layer, Run
from gnnrl.report.elements import breakable, element, picture, title
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
    scale = (lambda size: size / widest) if is_linear(runs) else (lambda size: sqrt(size / widest))
    count = sum(len(block.layers) for run in runs for block in run.blocks)
    bar = min(max(_ROOM // max(count, 1), _NARROWEST), _WIDEST)
    frames = []
    for run in runs:
        blocks = [
            _draw_block(block, [_HEIGHT * scale(layer.dense) for layer in block.layers], bar) for block in run.blocks
        ]
        many = len(run.blocks)
        frames.append(
            element(
                "figure",
                element("div", *blocks, class_="blocks"),
                element(
                    "figcaption",
                    breakable(run.name),
                    element("b", f" ×{many}") if many > 1 else "",
                    element("p", _kinds(run)),
                ),
                class_="run",
            )
        )
    return element("div", *frames, class_="network")


def _draw_block(block: Block, heights: Sequence[float], bar: int) -> Markup:
    width = len(block.layers) * (bar + _GAP) + _GAP
    bars = [
        _draw_layer(layer, _GAP + index * (bar + _GAP), bar, height)
        for index, (layer, height) in enumerate(zip(block.layers, heights, strict=True))
    ]
    axis = element("line", x1=0, x2=width, y1=_HEIGHT / 2, y2=_HEIGHT / 2, class_="flow")
    return picture(width, _HEIGHT, axis, *bars, label=f"{block.name}: {'; '.join(_said(one) for one in block.layers)}")


def _draw_layer(layer: Layer, x: int, width: int, height: float) -> Markup:
    height = max(height, _THINNEST)
    channel = height / max(layer.dense, 1)
    parts = (("whole", layer.dense), ("left", layer.pruned), ("stays", layer.fixed))
    bars = [
        element(
            "rect",
            x=x,
            y=(_HEIGHT - channel * channels) / 2,
            width=width,
            height=max(channel * channels, _THINNEST / 2),
            class_=kind,
        )
        for kind, channels in parts
        if channels
    ]
    return element("g", title(f"{layer.name}, {layer.kind}: {_said(layer)}"), *bars)


def _said(layer: Layer) -> str:
    if layer.output:
        return f"{layer.dense}, an output of the network"
    if layer.stays:
        left = f"{layer.dense}, all stay" if layer.fixed == layer.dense else f"{layer.dense} → {layer.pruned}, "
        return f"{left}{'' if layer.fixed == layer.dense else f'{layer.fixed} stay'}: {layer.stays}"
    return f"{layer.dense} → {layer.pruned}"


def _kinds(run: Run) -> str:
    """Name the layers of one block; neighbours of one kind are counted."""
    told: list[tuple[str, int]] = []
    for kind in run.kinds:
        if told and told[-1][0] == kind:
            told[-1] = (kind, told[-1][1] + 1)
        else:
            told.append((kind, 1))
    if len(told) > 4:
        return plural(len(run.kinds), "layer")
    return ", ".join(kind if many == 1 else f"{many}\u00a0×\u00a0{kind}" for kind, many in told)
