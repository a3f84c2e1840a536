"""Kinds of reasons: each names a remedy, and no decision depends on a sentence."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gnnrl
from gnnrl.network.description import Description
from gnnrl.network.obstacles import role
from gnnrl.network.reasons import Kind, Reason
from gnnrl.network.structure import Network
from tests.topologies import traced

ROOT = Path(gnnrl.__file__).parent


FOREIGN = {"is_out_of_memory", "wants_contiguous", "connected", "writing", "_what_failed"}
"""Functions that read messages of torch, gloo and safetensors, which raise no type of their own for these faults."""


READS = {"startswith", "endswith", "replace", "find", "search", "match", "fullmatch", "findall"}


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


def readers(source: str) -> Iterator[str]:
    """Functions that compare, search or rewrite the message of an error, or the sentence of a reason."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                is_search = isinstance(node, ast.Call) and getattr(node.func, "attr", "") in READS
                if (is_search or isinstance(node, ast.Compare)) and any(map(is_message, ast.walk(node))):
                    yield function.name


def is_message(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in {"text", "remedy", "message"}
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    return name == "explained" or (name == "str" and getattr(node.args[0], "id", "") in {"error", "failure"})


def test_no_code_reads_a_message_to_decide() -> None:
    found = {name for path in ROOT.rglob("*.py") for name in readers(path.read_text())}

    assert found == FOREIGN


@pytest.mark.parametrize(
    "line", ['if "no rule" in str(error): pass', 'x = reason.text == "a"', 'x = explained(error).replace("a", "b")']
)
def test_a_reader_of_messages_is_found(line: str) -> None:
    assert list(readers(f"def f():\n    {line}")) == ["f"]
