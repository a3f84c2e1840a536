"""What `--help` prints: what everybody needs first, then the other options by subject, each in a line or two.

A command's docstring is its help: its first paragraph says what it does, lines that begin with `gnnrl` are examples.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import ValidationError
from typer.core import TyperArgument, TyperCommand, TyperOption

from gnnrl.cli.streams import is_plain
from gnnrl.errors import question

START = "Start here"
_REST = "More"
_LEFT, _WIDEST = 24, 100
_ELSEWHERE = {
    "--evaluations": ("--episodes",),
    "--trials": ("--episodes",),
    "--epoch": ("--epochs", "--finetune-epochs"),
    "--epochs": ("--finetune-epochs",),
    "--finetune-epochs": ("--epochs",),
    "--lr": ("--learning-rate",),
    "--target": ("--constraint",),
    "--limit": ("--constraint",),
    "--output": ("--out",),
    "--dataset": ("--data",),
}
"""What other programs call our options."""


class Teaching(TyperCommand):
    """A command whose help teaches."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; where one is called as in other programs, suggest ours."""
        own = {name for parameter in self.params for name in parameter.opts}
        foreign = {argument.partition("=")[0] for argument in args} & _ELSEWHERE.keys() - own
        for name in () if ctx.resilient_parsing else sorted(foreign):
            for meant in own.intersection(_ELSEWHERE[name]):
                ctx.fail(f"there is no option {name}; did you mean {meant}?")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _refusal(error)
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help."""
        own = [parameter for parameter in self.params if not getattr(parameter, "hidden", False)]
        needed = " ".join(_signature(parameter) for parameter in own if parameter.required)
        formatter.write(f"Usage: {' '.join((ctx.command_path, needed)).strip()} [OPTIONS]\n\n{_told(self.help or '')}")
        panels: dict[str, list[tuple[str, str]]] = {START: []}
        for parameter in [*own, self.get_help_option(ctx)]:
            if parameter is not None:
                panels.setdefault(_panel(parameter), []).append((_signature(parameter), _explained(parameter)))
        rest = panels.pop(_REST, [])
        for name, rows in [*panels.items(), (_REST if any(panels.values()) else "Options", rest)]:
            if rows:
                formatter.write(show_rows(name, rows))


def _refusal(error: typer.BadParameter) -> str:
    """Return what is said of a wrong value; if an option takes a few names, with the question for the nearest."""
    known = _names(getattr(getattr(error.param, "type_descriptor", None), "annotation", None))
    if not known or not isinstance(error.__cause__, ValidationError):
        return error.message
    value = str(error.__cause__.errors()[0]["input"])
    hint = question(value, known)
    return f"{value!r} is not one of {', '.join(map(repr, known))}.{hint and f' {hint[0].upper()}{hint[1:]}'}"


def _names(annotation: Any) -> list[str]:
    """Return the names that an annotation such as `Literal["kl", "top1"] | None` allows."""
    if get_origin(annotation) is Literal:
        return [str(name) for name in get_args(annotation)]
    return [name for part in get_args(annotation) for name in _names(part)]


def overview(group: Any, ctx: Any) -> str:
    """The help of a group: its commands, each with what it does, and its options."""
    commands = [
        (name, " ".join((group.commands[name].help or "").split("\n\n")[0].split()))
        for name in group.list_commands(ctx)
    ]
    own = [*group.params, group.get_help_option(ctx)]
    rows = [(_signature(parameter), _explained(parameter)) for parameter in own if parameter is not None]
    used = f"Usage: {ctx.command_path} COMMAND [OPTIONS]\n\n{_told(group.help or '')}"
    return used + show_rows("Commands", commands) + show_rows("Options", rows) + f"\n{_told(group.epilog or '')}"


def show_rows(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Two columns below a title; what is too long for the first one has a line of its own."""
    lines = ["", _bold(title)]
    room = _width() - _LEFT
    for name, told in rows:
        first, *others = textwrap.wrap(told, room, break_on_hyphens=False) or [""]
        if len(name) > _LEFT - 4:
            lines.append(f"  {name}")
            lines.append(f"{'':{_LEFT}}{first}")
        else:
            lines.append(f"  {name:{_LEFT - 2}}{first}".rstrip())
        lines += [f"{'':{_LEFT}}{line}" for line in others]
    return "\n".join(lines) + "\n"


def _told(text: str) -> str:
    """The docstring: prose is wrapped, examples stay as they are."""
    parts = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip().splitlines()
        if lines and lines[0].startswith("gnnrl "):
            parts.append("\n".join(f"  {line}" for line in lines))
        else:
            parts.append(textwrap.fill(" ".join(lines), _width(), break_on_hyphens=False))
    return "\n\n".join(parts) + "\n"


def _panel(parameter: Any) -> str:
    first = START if parameter.required or isinstance(parameter, TyperArgument) else _REST
    return str(getattr(parameter, "rich_help_panel", None) or first)


def _signature(parameter: Any) -> str:
    """An option as it is written, such as `--episodes N`; a flag has no value."""
    if isinstance(parameter, TyperArgument):
        return str(parameter.metavar or parameter.name)
    name = max(parameter.opts, key=len)
    name = "-h, --help" if name == "--help" else name
    return name if parameter.is_flag or not parameter.metavar else f"{name} {parameter.metavar}"


def _explained(parameter: Any) -> str:
    """The help of an option with its default, where it has one that the help does not tell."""
    told, default = parameter.help or "", parameter.default
    shown = isinstance(parameter, TyperOption) and parameter.show_default and not parameter.is_flag
    return f"{told} (default {default})" if shown and default is not None and not callable(default) else told


def _width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, _WIDEST) - 1


def _bold(text: str) -> str:
    return text if is_plain(sys.stdout) else typer.style(text, bold=True)
