"""Draw the pictures of docs/concepts.md from the networks that they show.

    python scripts/draw_concepts.py [FOLDER]

`pictures` returns them by name, so that a test can compare them with the files.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from markupsafe import Markup
from torch import Tensor, nn

from gnnrl.network.hierarchy import find_hierarchy
from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.report.blocks import find_runs
from gnnrl.report.charts import draw_search
from gnnrl.report.elements import element, standalone
from gnnrl.report.record import Judged
from gnnrl.zoo.networks import cifar_resnet

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
RECORDED = ROOT / "benchmarks" / "results" / "search" / "cifar-resnet20-45000-macs50.json"
COLOURS = ("#2670b0", "#c2702a", "#3d8a55", "#8a5aa8", "#b0902a", "#4a9aa0")
MUTED, GHOST, STILL = "#5c6670", "#cfe0ef", "#a3abb4"


class Small(nn.Module):
    """A residual block between a stem and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.conv1 = nn.Conv2d(6, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        x = torch.relu(self.stem(x))
        x = x + self.conv2(torch.relu(self.conv1(x)))
        return self.head(x.mean((2, 3)))


def pictures() -> Iterator[tuple[str, str]]:
    """Name and text of each picture."""
    torch.manual_seed(0)
    small = trace(Small().eval(), torch.randn(1, 3, 8, 8))
    large = trace(cifar_resnet(20).eval(), torch.randn(1, 3, 32, 32))
    yield "graph", draw_graph(small)
    yield "label", draw_labels(small)
    yield "group", draw_groups(small)
    yield "motif", draw_motifs(large)
    yield "plan", draw_plan(large)
    yield "reward", draw_reward()


def draw_graph(network: Network) -> str:
    """Operations from left to right, and what they read; a path that skips operations is an arc."""
    step, wide, y = 92, 78, 92
    shapes = []
    for operation in network.operations:
        for source in operation.inputs:
            start, end = 12 + source * step + wide, 12 + operation.index * step
            skip = operation.index - source - 1
            path = f"M{start - wide / 2 * bool(skip)},{y - 17 * bool(skip)}"
            path += f"C{start},{y - 30 * skip} {end},{y - 30 * skip} {end + wide / 2},{y - 17}" if skip else f"H{end}"
            shapes.append(element("path", d=path, fill="none", stroke=MUTED, stroke_width=1.5))
    for operation in network.operations:
        x = 12 + operation.index * step
        filled = "weight" in operation.parameters
        fill = GHOST if filled else "#ffffff"
        shapes.append(element("rect", x=x, y=y - 17, width=wide, height=34, rx=5, fill=fill, stroke=MUTED))
        shapes.append(_text(x + wide / 2, y + 5, operation.name, "middle"))
        shapes.append(_text(x + wide / 2, y + 34, operation.module if filled else "", "middle", "m"))
    return standalone(24 + len(network.operations) * step, 140, *shapes, label="operations of a network")


def draw_labels(network: Network) -> str:
    """Unit of each channel that the layers compute or read: equal numbers go together."""
    rows = [
        ("stem computes", "stem.weight", 0),
        ("conv1 reads", "conv1.weight", 1),
        ("conv1 computes", "conv1.weight", 0),
        ("conv2 reads", "conv2.weight", 1),
        ("conv2 computes, added to stem's", "conv2.weight", 0),
        ("head reads", "head.weight", 1),
    ]
    shapes = []
    for at, (name, tensor, dim) in enumerate(rows):
        y = 14 + at * 34
        shapes.append(_text(230, y + 17, name, "end"))
        for position, unit in enumerate(network.owners[tensor, dim].tolist()):
            x = 244 + position * 34
            group = int((network.offsets[1:] <= unit).sum())
            shapes.append(element("rect", x=x, y=y, width=28, height=26, rx=4, fill=COLOURS[group], fill_opacity=0.25))
            shapes.append(_text(x + 14, y + 18, str(unit), "middle"))
    return standalone(460, 14 + 34 * len(rows), *shapes, label="labels of channels")


def draw_groups(network: Network) -> str:
    """Dimensions of the weights by the group that they belong to; what is frozen is grey."""
    shapes = []
    for at, group in enumerate(network.groups):
        shapes.append(element("rect", x=16, y=16 + at * 26, width=16, height=16, rx=3, fill=COLOURS[at]))
        shapes.append(_text(40, 29 + at * 26, f"group {group.name}: {group.size} units, kind {group.kind}"))
    top = 30 + 26 * len(network.groups)
    weights = [name for name in network.shapes if name.endswith("weight")]
    for at, name in enumerate(weights):
        y = top + at * 34
        shapes.append(_text(110, y + 17, name, "end"))
        for dim, word in ((1, "reads"), (0, "computes")):
            owner = network.owners.get((name, dim))
            units = 0 if owner is None else int(owner.max())
            fill = COLOURS[int((network.offsets[1:] <= units).sum())] if units else STILL
            x = 124 + (1 - dim) * 130
            shapes.append(element("rect", x=x, y=y, width=120, height=26, rx=4, fill=fill, fill_opacity=0.35))
            shapes.append(_text(x + 60, y + 18, f"{word} {network.shapes[name][dim]}", "middle"))
    return standalone(400, top + 34 * len(weights) + 8, *shapes, label="groups of channels")


def draw_motifs(network: Network) -> str:
    """Instances in their order, each with the letter of its motif; below, what is in the motif that occurs most."""
    hierarchy = find_hierarchy(network)
    shapes = []
    for at, instance in enumerate(hierarchy.instances):
        x = 12 + at * 62
        shapes.append(
            element(
                "rect",
                x=x,
                y=14,
                width=52,
                height=44,
                rx=5,
                fill=COLOURS[instance.motif % len(COLOURS)],
                fill_opacity=0.3,
            )
        )
        shapes.append(_text(x + 26, 42, chr(65 + instance.motif), "middle"))
        shapes.append(_text(x + 26, 76, instance.name, "middle", "m"))
    most = max(range(len(hierarchy.motifs)), key=lambda m: sum(i.motif == m for i in hierarchy.instances))
    names = [network.operations[number].name for number in hierarchy.motifs[most]]
    many = sum(instance.motif == most for instance in hierarchy.instances)
    shapes.append(_text(12, 112, f"motif {chr(65 + most)}, {many} instances: {', '.join(names)}"))
    return standalone(24 + len(hierarchy.instances) * 62, 126, *shapes, label="motifs of a ResNet-20")


def draw_plan(network: Network) -> str:
    """Layers before (pale) and after (full) with equal keep ratios."""
    plan = Plan.uniform(network, "macs<=50%")
    layers = [layer for run in find_runs(network, plan) for layer in run.layers]
    widest = max(layer.dense for layer in layers)
    shapes = []
    for at, layer in enumerate(layers):
        x = 14 + at * 28
        parts = ((layer.dense, GHOST), (layer.pruned, COLOURS[0]), (layer.fixed, STILL))
        for channels, fill in parts:
            height = 120 * channels / widest
            shapes.append(element("rect", x=x, y=70 - height / 2, width=20, height=height, fill=fill))
        shapes.append(_text(x + 10, 150, str(layer.pruned), "middle", "m"))
    note = "channels kept; pale: removed, grey: cannot go (padding shortcuts, output)"
    shapes.append(_text(14, 174, note, kind="m"))
    return standalone(28 + 28 * len(layers), 186, *shapes, label="a plan of a ResNet-20")


def draw_reward() -> str:
    """Plans of a recorded search: ResNet-20 on CIFAR-10 at half of its MACs, of `benchmarks/search.py`."""
    rows = json.loads(RECORDED.read_text())["rows"]
    scores = rows["ppo, 150 evaluations, seed 0"]["scores"]
    chart = draw_search([Judged(score=score, seconds=0, widths=()) for score in scores], "top1")
    return standalone(440, 270, chart, label="rewards of the plans of a search")


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def main() -> None:
    """Write all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pictures():
        (folder / f"{name}.svg").write_text(text)


if __name__ == "__main__":
    main()
