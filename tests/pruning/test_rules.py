import numpy as np
import pytest
import torch
from torch import nn

from gnnrl.errors import ConfigError
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import (
    Bound,
    WidthRules,
    auto_multiple,
    channels_per_unit,
    describe_rounding,
    matches,
    parse_bounds,
    show_bound,
)
from tests.topologies import Head, conv, images, traced
from tests.topologies.obstacles import obstructed

NETWORK = traced("residual").network


def ladder(rules: WidthRules, group: int = 1) -> list[int]:
    return list(rules.ladders(NETWORK)[group])


@pytest.mark.parametrize("pattern", ["1", "1.conv1", "1.conv1.0", "1.conv1.*", "?.conv1.0"])
def test_a_pattern_names_a_group_by_its_name_its_module_or_a_module_around_it(pattern: str) -> None:
    assert matches(NETWORK.groups[1], pattern)
    assert not matches(NETWORK.groups[1], f"{pattern}x")


@pytest.mark.parametrize(
    ("bound", "widths"),
    [
        ((0.3, 0.8), range(4, 10)),
        ((4, 6), range(4, 7)),
        ((None, 0.5), range(1, 7)),
        ((5, None), range(5, 13)),
        ((1.0, 1.0), [12]),
        ((99, None), [12]),
    ],
)
def test_bounds_are_shares_or_channels(bound: Bound, widths: list[int]) -> None:
    assert ladder(WidthRules(bounds={"1.conv1": bound})) == list(widths)
    assert ladder(WidthRules(bounds={"1.conv1": bound}), 2) == list(range(1, 13))


def test_of_several_bounds_all_hold_and_every_plan_is_within_them() -> None:
    rules = WidthRules(bounds={"*": (0.25, None), "1": (None, 6), "2.conv1": (8, 8)})
    projection = Projection.build(NETWORK, "macs<=70%", rules)
    for logits in np.random.default_rng(0).normal(0, 5, (20, 3)):
        widths = projection.of_logits(logits)
        assert widths.min() >= 3
        assert widths[1] <= 6
        assert widths[2] == 8


def test_bounds_in_channels_that_only_go_together_are_refused_with_what_was_meant() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 1), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 4, 1))
    network = trace(model, torch.randn(2, 3, 4, 4))

    with pytest.raises(ConfigError, match=r"0 has 4 units of 4 channels.*write 0=2:3"):
        WidthRules(bounds={"0": (8, 12)}).ladders(network)


def test_bounds_come_before_rounding() -> None:
    assert ladder(WidthRules(round_to=4, bounds={"1.conv1": (3, 9)})) == [4, 8]
    assert ladder(WidthRules(round_to=8, bounds={"1.conv1": (3, 5)})) == [3, 4, 5]


@pytest.mark.parametrize(
    ("texts", "bounds"),
    [
        (["layer4.*=0.3:0.8"], {"layer4.*": (0.3, 0.8)}),
        (["a=16:64", "b=:50%"], {"a": (16, 64), "b": (None, 0.5)}),
        (["a=0.5:"], {"a": (0.5, None)}),
    ],
)
def test_bounds_are_read_as_they_are_written(texts: list[str], bounds: dict[str, Bound]) -> None:
    assert parse_bounds(texts) == bounds
    assert parse_bounds([f"{name}={show_bound(bound)}" for name, bound in bounds.items()]) == bounds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer4", "PATTERN=LOW:HIGH"),
        ("layer4=0.5", "PATTERN=LOW:HIGH"),
        ("=1:2", "PATTERN=LOW:HIGH"),
        ("a=x:2", "not a number"),
        ("a=:", "bound nothing"),
        ("a=0.8:0.3", "swap"),
        ("a=0:4", "at least 1"),
        ("a=0.5:1.5", "at most 1"),
        ("a=0.5:nan.", "not a number"),
        ("a=0.5:1", "1 is one channel next to a share"),
        ("a=1:80%", "1 is one channel next to a share"),
    ],
)
def test_bounds_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_bounds([text])


def test_bounds_given_twice_or_against_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        parse_bounds(["a=1:2", "a=3:4"])
    with pytest.raises(ConfigError, match=r"1=:3 and bounds 1\.\*=5: leave no width"):
        ladder(WidthRules(bounds={"1": (None, 3), "1.*": (5, None)}))
    with pytest.raises(ConfigError, match="with min_width 8 leave no width"):
        ladder(WidthRules(min_width=8, bounds={"1": (None, 3)}))


def test_bounds_of_frozen_layers_and_of_no_layer_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"matches only layers that stay whole: b\.0.*special_i0"):
        WidthRules(bounds={"b": (0.5, 1.0)}).ladders(trace(obstructed(), images()))
    with pytest.raises(ConfigError, match=r"bounds pattern '1\.comv1' matches no layer.*did you mean 1\.conv1"):
        ladder(WidthRules(bounds={"1.comv1": (0.5, 1.0)}))


def test_only_lets_groups_of_these_kinds_shrink() -> None:
    network = traced("attention").network
    kinds = [group.kind for group in network.groups]
    assert len(set(kinds)) > 1
    for kind in set(kinds):
        rules = WidthRules(only=(kind,))  # type: ignore[arg-type]
        shrink = [len(allowed) > 1 for allowed in rules.ladders(network)]
        assert shrink == [other == kind for other in kinds]
        assert sum(len(names) for names in rules.fixed(network).values()) == shrink.count(False)
    with pytest.raises(ConfigError, match="did you mean heads"):
        WidthRules(only=("head",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no such group"):
        ladder(WidthRules(only=("heads",)))


def test_heads_are_rounded_by_their_channels() -> None:
    """Four heads of four channels: multiples of 8 channels are 2 heads."""
    network = traced("attention").network
    index = next(group.index for group in network.groups if group.kind == "heads")
    each = channels_per_unit(network.groups[index])
    allowed = WidthRules(round_to=2 * each).ladders(network)[index]
    assert allowed.tolist() == [width for width in range(1, network.groups[index].size + 1) if width % 2 == 0]
    assert len(WidthRules(round_to=each).ladders(network)[index]) == network.groups[index].size


def test_auto_rounds_large_groups_only_says_so_and_puts_no_limit_out_of_reach() -> None:
    network = trace(_chain(), images())
    auto, free = WidthRules(round_to="auto").ladders(network), WidthRules(round_to=1).ladders(network)
    assert auto[0].tolist() == list(range(1, 33))
    assert auto[1].tolist() == [*range(1, 16), *range(16, 161, 16)]
    assert [allowed[0] for allowed in auto] == [allowed[0] for allowed in free]
    said = describe_rounding(network, WidthRules(round_to="auto", keep=("2.*",)))
    assert said == "widths are multiples of 16 (or smaller) in 1 group, of 1 in 1 group; 1 group stays whole"
    assert [auto_multiple(channels) for channels in (63, 64, 127, 128)] == [1, 8, 8, 16]


def _chain():
    from torch import nn

    return nn.Sequential(conv(3, 32), conv(32, 160), conv(160, 16), Head(16))
