"""Roles of frozen groups, obstacles by line, and how names and places are written."""

import torch
from torch import Tensor, nn

from gnnrl.network.description import Description
from gnnrl.network.obstacles import find_obstacles, role, shorten, show_location
from gnnrl.network.reasons import Kind
from gnnrl.network.tracing.tracer import trace
from tests.topologies import Traced, conv, images, traced


def test_many_names_are_shortened_to_patterns_that_match_them_all() -> None:
    names = [f"layers.{number}.attn.qkv" for number in range(12)]
    assert shorten(names) == "12 layers: layers.*.attn.qkv"
    assert shorten([*names[:2], "head"]) == "3 layers: layers.*.attn.qkv, head"
    assert shorten(["head"]) == "head"
    assert shorten(["a1.b2", "a1.b3"]) == "2 layers: a1.b*"


def test_outputs_are_not_obstacles(case: Traced) -> None:
    outputs = {group.name for group in case.network.frozen if Kind.OUTPUT in {reason.kind for reason in group.reasons}}
    obstacles = {name for obstacle in Description.of(case.network).obstacles for name in obstacle.groups}

    assert not outputs & obstacles


def test_groups_that_one_line_freezes_are_one_obstacle_and_the_largest_is_first() -> None:
    class Bessel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.i0(x)

    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sort(1).values

    network = trace(
        nn.Sequential(conv(3, 8), Bessel(), conv(8, 8), Bessel(), conv(8, 4), Sorted(), conv(4, 2)), images()
    )
    bessel, ordered = find_obstacles(network)

    assert (bessel.kind, bessel.groups, bessel.modules) == (Kind.NO_RULE.value, ("0.0", "2.0"), ("1", "3"))
    assert (ordered.kind, ordered.groups, ordered.modules) == (Kind.WORKED_ALONG.value, ("4.0",), ("5",))
    assert bessel.macs_share > ordered.macs_share > 0


def test_a_frozen_group_is_an_input_an_output_or_an_obstacle() -> None:
    frozen = {group.name: role(group) for group in traced("spatial_attention").network.frozen}

    assert (frozen["b.0"], frozen["head.linear"]) == ("obstacle", "output")
    assert set(frozen.values()) == {"input", "output", "obstacle"}


def test_a_place_is_written_from_the_first_folder_that_holds_it() -> None:
    roots = ["/home/me/project", "/home/me/"]

    assert show_location("/home/me/project/net.py:7", roots) == "net.py:7"
    assert show_location("/home/me/other/net.py:7", roots) == "other/net.py:7"
    assert show_location("/venv/lib/python3.11/site-packages/timm/vit.py:7", roots) == "timm/vit.py:7"
    assert show_location("/home/meow/net.py:7", roots) == "/home/meow/net.py:7"
