"""The program `gnnrl`: its commands, and how it ends.

Results go to stdout, narration and errors to stderr. Exit codes are those of `gnnrl.errors`; 2 for a wrong command
line, 130 after Ctrl-C, 1 with a traceback for a fault of gnnrl.
"""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from gnnrl import __version__
from gnnrl.cli.console import print_error
from gnnrl.cli.demo import demonstrate
from gnnrl.cli.exportation import export
from gnnrl.cli.inspection import inspect
from gnnrl.cli.judgement import evaluate
from gnnrl.cli.pruning import prune
from gnnrl.errors import GnnrlError

P = ParamSpec("P")

app = typer.Typer(
    name="gnnrl",
    help="Shrink a PyTorch network to a size limit. A graph network trained with reinforcement learning decides how "
    "much of every layer to keep.",
    epilog="Start with: gnnrl demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Let a command end with one clear message and its exit code where gnnrl raises on purpose."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except GnnrlError as error:
            print_error(str(error))
            if kwargs.get("as_json"):
                typer.echo(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}))
            raise typer.Exit(error.exit_code) from error

    return run


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gnnrl {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""


app.command("demo")(guarded(demonstrate))
app.command("inspect")(guarded(inspect))
app.command("prune")(guarded(prune))
app.command("evaluate")(guarded(evaluate))
app.command("export")(guarded(export))


def main() -> None:
    """Run the command line; never returns."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that knows no "█" shows "?", and no traceback
    app(prog_name="gnnrl")
