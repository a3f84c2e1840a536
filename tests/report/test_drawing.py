"""The drawing of a network: thickness shows channels, and words say what the bars show."""

import re

import pytest

from gnnrl.report.blocks import Block, Layer, Run
from gnnrl.report.drawing import draw_network, is_linear


def layer(dense: int, pruned: int, **more: object) -> Layer:
    return Layer.model_validate(
        {"name": "conv", "kind": "3×3 conv", "dense": dense, "pruned": pruned, "macs": 0.1, "macs_left": 0.1, **more}
    )


def run(*layers: Layer, times: int = 1) -> Run:
    return Run(blocks=tuple(Block(name=f"layer1.{number}", layers=layers) for number in range(times)))


def heights(drawing: str, kind: str) -> list[float]:
    return [float(height) for height in re.findall(rf'height="([\d.]+)" class="{kind}"', drawing)]


def test_thickness_is_proportional_to_channels_before_and_after() -> None:
    drawn = str(draw_network([run(layer(16, 8), layer(32, 4, fixed=2))]))
    whole, left = heights(drawn, "whole"), heights(drawn, "left")

    assert whole[1] == pytest.approx(2 * whole[0])
    assert [after / before for before, after in zip(whole, left, strict=True)] == pytest.approx([1 / 2, 1 / 8])
    assert heights(drawn, "stays") == pytest.approx([whole[1] / 16])


def test_thickness_grows_with_the_square_root_where_widths_differ_much() -> None:
    runs = [run(layer(4, 4), layer(400, 400))]
    narrow, wide = heights(str(draw_network(runs)), "whole")

    assert not is_linear(runs)
    assert wide / narrow == pytest.approx(10, rel=0.01)
    assert is_linear([run(layer(4, 4), layer(64, 64))])


def test_equal_blocks_are_counted_and_equal_layers_told_once() -> None:
    drawn = str(draw_network([run(layer(8, 8), layer(8, 4), times=3)]))

    assert "×3" in drawn
    assert "2\u00a0×\u00a03×3 conv" in drawn
    assert drawn.count("<svg") == 3


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (layer(16, 8), "16 → 8"),
        (layer(10, 10, output=True), "10, an output of the network"),
        (layer(16, 16, fixed=16, stays="a view"), "16, all stay: a view"),
        (layer(16, 12, fixed=4, stays="a view"), "16 → 12, 4 stay: a view"),
    ],
)
def test_a_layer_says_what_is_left_and_what_has_to_stay(shown: Layer, told: str) -> None:
    assert f"conv, 3×3 conv: {told}</title>" in str(draw_network([run(shown)]))
