"""The program `gnnrl`: its commands, and how it ends.

Results go to stdout, narration and errors to stderr. Exit codes are those of `gnnrl.errors`; 2 for a wrong command
line, 130 after Ctrl-C, 1 with a traceback for a fault of gnnrl.
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

from gnnrl.cli.commands.bench import bench
from gnnrl.cli.commands.compare import compare
from gnnrl.cli.commands.demo import demonstrate
from gnnrl.cli.commands.evaluate import evaluate
from gnnrl.cli.commands.export import export
from gnnrl.cli.commands.finetune import finetune
from gnnrl.cli.commands.inspect import inspect
from gnnrl.cli.commands.prune import prune
from gnnrl.cli.commands.report import report
from gnnrl.cli.commands.resume import resume
from gnnrl.cli.completion import hide_broken
from gnnrl.cli.console import plain, print_error
from gnnrl.cli.help import Teaching, told
from gnnrl.cli.options import suggestion
from gnnrl.cli.streams import silence_torch
from gnnrl.cli.torchrun import helps, parting, refuse
from gnnrl.errors import GnnrlError, InputsError, ResourceError, explained, first_line, is_out_of_memory
from gnnrl.runs.interruption import Interrupted
from gnnrl.version import __version__

_JSON = "--json"
_LESS = "Smaller batches, fewer calibration images or workers need less; or take a machine with more"
_SHAPE = (
    "Give --input-shape as its forward expects it, batch dimension first, such as 1,3,224,224; a network of several "
    "inputs, or of other types, goes to gnnrl.compress in Python."
)
_TOGETHER = ("finetune", "resume")
"""Commands that torchrun may begin in several processes."""


class Commands(TyperGroup):
    """All commands. However one ends, with `--json` stdout gets one object."""

    _as_json = False

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the command line; an empty one asks for the overview."""
        if not args and not extra.get("resilient_parsing"):  # shell completion reads lines that are not finished
            args = ["--help"]
        self._as_json = _JSON in args and not helps()
        with reported(self._as_json):
            return super().make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; for a name that there is none of, suggest one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            known = ", ".join(self.list_commands(ctx))
            hint = suggestion(args[0], list(self.commands))
            ctx.fail(f"there is no command {args[0]!r}{hint or '.'} There are {known}.")
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
    """End with one clear message and its exit code where gnnrl raises on purpose; with `--json` end with an object."""
    try:
        yield
    except (GnnrlError, Interrupted) as error:
        message = explained(error, f"{error.found}. {_SHAPE}" if isinstance(error, InputsError) else None)
        print_error(message)
        _print_object(as_json, error, message)
        raise typer.Exit(error.exit_code) from error
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as error:
        message = "interrupted; nothing was saved"
        print_error(message)
        _print_object(as_json, error, message)
        raise
    except TyperException as error:  # a wrong command line
        context = getattr(error, "ctx", None)
        ask = f"\nTry '{context.command_path} --help'." if context else ""
        print_error(told(error) + ask)
        _print_object(as_json, error, told(error))
        raise typer.Exit(error.exit_code) from error
    except Exception as error:
        if is_out_of_memory(error):
            message = explained(error, f"memory is short: {first_line(error)}. {_LESS}")
            print_error(message)
            _print_object(as_json, error, message)
            raise typer.Exit(ResourceError.exit_code) from error
        _print_object(as_json, error, str(error))
        raise


def _print_object(as_json: bool, error: BaseException, message: str) -> None:
    if as_json:
        typer.echo(json.dumps({"error": {"type": type(error).__name__, "message": plain(message)}}))


app = typer.Typer(
    name="gnnrl",
    cls=Commands,
    help="Shrink a PyTorch network to a size limit. A graph network trained with reinforcement learning decides how "
    "much of every layer to keep.",
    epilog="Start with: gnnrl demo. Exit codes: 0 done; 2 a wrong setting or command line; 3 a network that cannot be "
    "analysed; 4 a limit out of reach; 5 unusable data; 6 a file that does not fit; 7 no export; 8 disk or memory; 9 a "
    "run in use; 130 interrupted; 1 a fault of gnnrl.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gnnrl {__version__}")
        raise typer.Exit


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


app.command("demo", cls=Teaching)(demonstrate)
app.command("inspect", cls=Teaching)(inspect)
app.command("prune", cls=Teaching)(prune)
app.command("resume", cls=Teaching)(resume)
app.command("finetune", cls=Teaching)(finetune)
app.command("compare", cls=Teaching)(compare)
app.command("evaluate", cls=Teaching)(evaluate)
app.command("export", cls=Teaching)(export)
app.command("report", cls=Teaching)(report)
app.command("bench", cls=Teaching)(bench)


def main() -> None:
    """Run the command line; never returns."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that knows no "█" shows "?", and no traceback
    sys.excepthook = _print_traceback
    silence_torch()
    hide_broken(os.environ)
    with parting():
        app(prog_name="gnnrl")


def _print_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print a fault with its traceback, without escape sequences of anybody's message."""
    sys.stderr.write(plain("".join(traceback.format_exception(kind, error, trace))))
