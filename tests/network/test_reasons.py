"""Kinds of reasons: each names a remedy, and no decision depends on a sentence."""

from pathlib import Path

import pytest

import gnnrl
from gnnrl.network.description import Description
from gnnrl.network.obstacles import role
from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Network
from tests.topologies import Traced, traced

ROOT = Path(gnnrl.__file__).parent
OBSTRUCTED = ("fixed_view", "padding_shortcut", "without_rule")


def decisions(network: Network) -> object:
    """All that is said of a network, without the sentences of the reasons."""
    found = Description.of(network)
    return (
        [role(group) for group in network.frozen],
        [(each.kind, each.remedy, each.location, each.modules, each.groups) for each in found.obstacles],
        [(why.kind, why.remedy) for group in found.frozen for why in group.reasons],
    )


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_sentence_and_a_remedy(kind: Kind) -> None:
    reason = Reason(kind, "cumsum", detail="head.weight")

    assert reason.text
    assert reason.remedy
    assert "{" not in reason.text + reason.remedy


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_freezes_something(kind: Kind) -> None:
    assert any(f"Kind.{kind.name}" in path.read_text() for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("name", OBSTRUCTED)
def test_other_sentences_lose_no_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = traced(name).network
    before, told = decisions(network), str(Description.of(network))
    for kind in Kind:
        monkeypatch.setattr(kind, "text", "blocks this")

    assert decisions(network) == before
    assert str(Description.of(network)) != told


def test_outputs_are_not_obstacles(case: Traced) -> None:
    outputs = {group.name for group in case.network.frozen if Kind.OUTPUT in {reason.kind for reason in group.reasons}}
    obstacles = {name for obstacle in Description.of(case.network).obstacles for name in obstacle.groups}

    assert not outputs & obstacles
