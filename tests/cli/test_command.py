"""What commands share: options and a narrator in, an outcome out."""

import inspect
import json
from dataclasses import dataclass
from typing import Annotated

import pytest
import torch
import typer
from typer.testing import CliRunner

from gnnrl.cli.command import Outcome, command, torch_loaded
from gnnrl.cli.console import Lines, Narrator


@dataclass(frozen=True)
class Sum(Outcome):
    total: int

    def show(self) -> None:
        typer.echo(f"the sum is {self.total}")


@dataclass(frozen=True)
class Summands:
    first: Annotated[int, typer.Option(help="One.")] = 1
    second: Annotated[int, typer.Option(help="Another.")] = 2


def test_an_outcome_is_printed_for_people_or_as_one_object() -> None:
    @command()
    def add(summands: Summands) -> Sum | None:
        """Add."""
        return Sum(summands.first + summands.second) if summands.first else None

    app = typer.Typer()
    app.command()(add)
    assert CliRunner().invoke(app, ["--first", "4"]).stdout == "the sum is 6\n"
    assert json.loads(CliRunner().invoke(app, ["--second", "5", "--json"]).stdout) == {"total": 6}
    assert CliRunner().invoke(app, ["--first", "0", "--json"]).stdout == ""
    assert set(inspect.signature(add).parameters) == {"first", "second", "as_json"}


@pytest.mark.parametrize(("quiet", "arguments"), [(False, []), (False, ["--json"]), (True, [])])
def test_a_narrator_is_no_option_and_quiet_without_a_terminal(quiet: bool, arguments: list[str]) -> None:
    seen: list[Narrator] = []

    @command(quiet=quiet)
    def add(narrator: Narrator, first: int = 3) -> Sum:
        """Add."""
        seen.append(narrator)
        return Sum(first)

    app = typer.Typer()
    app.command()(add)
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert isinstance(seen[0], Lines) == (not quiet and not arguments)


def test_threads_are_those_asked_for_inside_and_those_from_before_afterwards() -> None:
    before = torch.get_num_threads()
    with torch_loaded(Narrator(), before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
