"""The program `gnnrl`: its commands, and how it ends.

Results go to stdout, stages and errors to stderr. Exit codes are those of `gnnrl.errors`; 2 for a wrong command line,
130 after Ctrl-C, and 1 with a traceback for a bug in gnnrl.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from gnnrl.cli.commands import bench, compare, demo, evaluate, export, finetune, inspect, prune, report, resume
from gnnrl.cli.completion import hide_broken
from gnnrl.cli.console import plain, print_error
from gnnrl.cli.help import Teaching, describe
from gnnrl.cli.streams import silence_torch
from gnnrl.cli.torchrun import helps, parting, refuse
from gnnrl.errors import GnnrlError, InputsError, ResourceError, choices, explained, first_line, is_out_of_memory
from gnnrl.runs.interruption import Interrupted, interrupt_again
from gnnrl.version import __version__

_COMMANDS = (demo, inspect, prune, resume, finetune, compare, evaluate, export, report, bench)
"""Modules of the commands, in the order of the overview; each has a function of its own name."""
_TOGETHER = ("finetune", "resume")
"""Commands that torchrun may start in several processes."""


class Commands(TyperGroup):
    """All commands. With `--json`, stdout gets one object, however a command ends."""

    _as_json = False

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the command line; an empty one asks for the overview."""
        if not args and not extra.get("resilient_parsing"):  # shell completion reads unfinished lines
            args = ["--help"]
        self._as_json = "--json" in args and not helps()
        with reported(self._as_json):
            return super().make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; suggest one for an unknown name."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}; {choices(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and the options."""
        self.format_commands(ctx, formatter)
        with formatter.section("Options"):
            formatter.write_dl([parameter.get_help_record(ctx) for parameter in self.get_params(ctx)])

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with reported(self._as_json):
            return super().invoke(ctx)


@contextmanager
def reported(as_json: bool) -> Iterator[None]:
    """End a deliberate error with one clear message and its exit code; with `--json`, any error with an object."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:
        message, exit_code = _explain(error)
        if exit_code is not None or isinstance(error, KeyboardInterrupt):
            print_error(message)
        if as_json:
            typer.echo(json.dumps({"error": {"type": type(error).__name__, "message": plain(message)}}))
        if exit_code is None:
            raise
        raise typer.Exit(exit_code) from error


def _explain(error: Exception | KeyboardInterrupt) -> tuple[str, int | None]:
    """Return the message of an error and its exit code, None if Python ends the process itself."""
    if isinstance(error, InputsError):
        shape = (
            "Give --input-shape as its forward expects it, batch dimension first, such as 1,3,224,224. If the network "
            "has several inputs, or inputs of another type, use gnnrl.compress in Python."
        )
        return explained(error, f"{error.found}. {shape}"), error.exit_code
    if isinstance(error, GnnrlError | Interrupted):
        return explained(error), error.exit_code
    if isinstance(error, TyperException):
        return describe(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was saved", None
    if is_out_of_memory(error):
        advice = "Use smaller batches, fewer calibration images or fewer workers, or a machine with more memory"
        return explained(error, f"not enough memory: {first_line(error)}. {advice}"), ResourceError.exit_code
    return str(error), None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gnnrl {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="gnnrl",
    cls=Commands,
    help="Shrink a PyTorch network to a size limit. A graph network trained with reinforcement learning decides how "
    "much of every layer to keep.",
    epilog="Start with: gnnrl demo. Exit codes: 0 success; 2 a wrong setting or command line; 3 the network cannot be "
    "analysed; 4 the limit cannot be met; 5 unusable data; 6 a file that does not fit; 7 the export failed; 8 disk or "
    "memory is short; 9 the run is in use; 130 interrupted; 1 a bug in gnnrl.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _module in _COMMANDS:
    _name = _module.__name__.rpartition(".")[2]
    app.command(_name, cls=Teaching)(getattr(_module, _name))


@app.callback()
def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""
    if context.invoked_subcommand not in _TOGETHER:
        refuse(f"gnnrl {context.invoked_subcommand}")


def main() -> None:
    """Run the command line; never returns."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without "█" shows "?" instead of a traceback
    sys.excepthook = _print_traceback
    sys.unraisablehook = interrupt_again
    silence_torch()
    hide_broken(os.environ)
    with parting():
        app(prog_name="gnnrl")


def _print_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print a traceback without the escape sequences that a message may contain."""
    sys.stderr.write(plain("".join(traceback.format_exception(kind, error, trace))))
