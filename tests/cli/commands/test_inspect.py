"""`gnnrl inspect`: sizes, groups, rules, and what prevents pruning."""

import json
import re

import pytest

from gnnrl.network.description import describe
from gnnrl.network.tracing.tracer import trace
from gnnrl.zoo.models import example_inputs, resolve_model
from tests.cli.running import FACTORY, OWN, refused, run

pytestmark = pytest.mark.usefixtures("folder")


def test_inspect_prints_sizes_groups_and_what_is_frozen() -> None:
    result = run("inspect", "digits-resnet", "--constraint", "macs<=50%")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    for shown in ("1,631,872 MACs", "layer3.1.conv1", "pad inserts", "networks.py:", "linear", "can be met"):
        assert shown in result.stdout
    assert result.stdout.count("pad inserts") == 1


def test_inspect_names_the_line_that_stands_in_the_way() -> None:
    result = run("inspect", "own.py:Obstructed", "--input-shape", "1,3,16,16")
    assert result.exit_code == 0, result.output
    line = next(number for number, text in enumerate(FACTORY.splitlines(), 1) if "special.i0" in text)
    assert "special_i0 has no rule" in result.stdout
    assert f"own.py:{line}" in result.stdout
    assert "keeps second" in result.stdout
    facts = json.loads(run("inspect", "own.py:Obstructed", "--input-shape", "1,3,16,16", "--json").stdout)
    assert [group["name"] for group in facts["shrinking"]] == ["first", "third"]
    assert facts["smallest"]["macs"] < facts["dense"]["macs"]
    assert "input" in refused(2, "inspect", "own.py:Obstructed")


def test_description_is_the_text_of_inspect() -> None:
    network = trace(resolve_model("digits-resnet"), example_inputs("digits-resnet"))
    described, _, rules = run("inspect", "digits-resnet").stdout.rstrip("\n").partition("\n\nRules: ")
    assert describe(network) == described
    assert rules == "widths are multiples of 8 (or smaller) in 2 groups, of 1 in 5 groups."


def test_inspect_tells_obstacles_from_inputs_and_outputs_with_share_and_remedy() -> None:
    told = run("inspect", *OWN).stdout
    assert "To do: use another operation here" in told
    assert re.search(r"Frozen by code \([0-9.]+% of the MACs\)", told)
    assert "Outputs of the network keep their size" in told
    facts = json.loads(run("inspect", *OWN, "--json").stdout)
    roles = {group["name"]: group["role"] for group in facts["frozen"]}
    assert roles == {"first:2": "input", "second": "obstacle", "third:2": "input", "head": "output"}
    (reason, *_) = next(group for group in facts["frozen"] if group["name"] == "second")["reasons"]
    assert (reason["kind"], reason["operation"]) == ("no-rule", "special_i0")
    assert re.search(r"own\.py:[0-9]+$", reason["location"])
    (obstacle,) = facts["obstacles"]
    assert obstacle["kind"] == "no-rule"
    assert obstacle["macs_share"] == pytest.approx(facts["frozen_macs_share"])
    assert obstacle["macs_share"] > 0.1


def test_rules_show_in_inspect() -> None:
    bounds = ("--bounds", "layer2=0.25:0.5", "--bounds", "layer3.*=4:8", "--keep", "layer1", "--round-to", "4")
    facts = json.loads(run("inspect", "digits-resnet", *bounds, "--json").stdout)
    widths = {row["name"]: (row["narrowest"], row["widest"]) for row in facts["shrinking"]}
    assert widths["layer1.0.conv1"] == (16, 16)
    assert widths["layer2.1.conv1"] == (8, 16)
    assert widths["layer3.1.conv1"] == (4, 8)
    assert facts["rules"]["rounding"] == "widths are multiples of 4 in 4 groups; 3 groups stay whole"
    assert list(facts["rules"]["fixed"]) == ["keep 'layer1'"]
    assert "round-to" in refused(2, "inspect", "digits-resnet", "--round-to", "eight")
    assert "did you mean stream" in refused(2, "inspect", "digits-resnet", "--only", "steam")
    only = json.loads(run("inspect", "digits-resnet", "--only", "stream", "--json").stdout)
    assert {row["kind"] for row in only["shrinking"] if row["narrowest"] < row["widest"]} == {"stream"}
