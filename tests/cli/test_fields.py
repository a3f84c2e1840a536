"""Options declared once, as fields of a dataclass."""

import inspect
from dataclasses import dataclass, field
from typing import Annotated

import typer

from gnnrl.cli.fields import build, takes_fields


@dataclass(frozen=True)
class Inner:
    keep: Annotated[tuple[str, ...], typer.Option(help="Patterns.")] = ()


@dataclass(frozen=True)
class Job:
    model: Annotated[str, typer.Option(help="Name.")]
    count: Annotated[int, typer.Option(help="Number.")] = 3
    hidden: int = 7
    inner: Inner = field(default_factory=Inner)


def test_a_command_takes_the_fields_and_gets_the_object() -> None:
    seen: list[object] = []

    @takes_fields()
    def command(job: Job, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        seen.extend([job, loud])

    parameters = inspect.signature(command).parameters
    assert set(parameters) == {"model", "count", "keep", "loud"}
    assert next(iter(parameters)) == "model", "what is required comes first"
    assert parameters["count"].default == 3
    assert parameters["keep"].default is None
    command(model="net", count=5, keep=["a", "b"], loud=True)
    assert seen == [Job("net", 5, inner=Inner(("a", "b"))), True]


def test_a_parameter_of_the_command_goes_before_a_field_of_its_name() -> None:
    seen: list[object] = []

    @takes_fields(without=("keep",))
    def command(job: Job, count: Annotated[int, typer.Option(help="Other.")] = 9) -> None:
        seen.extend([job.count, count])

    parameters = inspect.signature(command).parameters
    assert set(parameters) == {"model", "count"}
    assert parameters["count"].default == 9
    command(model="net", count=4)
    assert seen == [4, 4]


def test_what_is_not_given_has_its_default() -> None:
    assert build(Job, {"model": "net", "keep": None}) == Job("net")


def test_the_command_line_reads_them() -> None:
    from typer.testing import CliRunner

    app = typer.Typer()

    @app.command()
    @takes_fields()
    def command(job: Job) -> None:
        typer.echo(repr(job))

    told = CliRunner().invoke(app, ["--model", "net", "--keep", "a", "--keep", "b"])
    assert told.stdout.strip() == repr(Job("net", inner=Inner(("a", "b"))))
    assert CliRunner().invoke(app, []).exit_code == 2
