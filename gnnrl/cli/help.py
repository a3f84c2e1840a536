"""The text of `--help` and of wrong command lines.

A command's docstring is its help: its first paragraph says what it does, and lines that begin with `gnnrl` are
examples. Options that everybody needs come first, the others by subject.
"""

import shlex
from contextvars import ContextVar
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import ValidationError
from typer.core import TyperArgument, TyperCommand, TyperOption

from gnnrl.cli.options import PANELS
from gnnrl.errors import question

START = PANELS[0]
_REST = "More"
_LEFT = 19
"""Characters of the first column; a longer option gets its own line."""
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
"""Names of options in other programs, with gnnrl's."""
_TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=("gnnrl",))


def typed() -> tuple[str, ...]:
    """Return the command that was typed, for messages that show it with something added."""
    return _TYPED.get()


class Teaching(TyperCommand):
    """A command with gnnrl's help and messages."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; suggest gnnrl's name for an option of another program."""
        _TYPED.set((*ctx.command_path.split(), *args))
        own = {name for parameter in self.params for name in parameter.opts}
        foreign = {argument.partition("=")[0] for argument in args} & _ELSEWHERE.keys() - own
        for name in () if ctx.resilient_parsing else sorted(foreign):
            for meant in own.intersection(_ELSEWHERE[name]):
                ctx.fail(f"there is no option {name}; did you mean {meant}?")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if type(error) is not typer.BadParameter:  # typer names the first missing option alone
                ctx.fail(_missing(ctx, self.params))
            error.message = _refusal(error)
            raise

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write what is required."""
        needed = [_signature(parameter) for parameter in self.params if parameter.required]
        formatter.write_usage(ctx.command_path, " ".join((*needed, "[OPTIONS]")))

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the docstring; its examples are not wrapped."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text((self.help or "").replace("\n\ngnnrl ", "\n\n\b\ngnnrl "))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options by subject."""
        panels: dict[str, list[tuple[str, str]]] = {START: []}
        for parameter in self.get_params(ctx):
            if not getattr(parameter, "hidden", False):
                first = START if parameter.required or isinstance(parameter, TyperArgument) else _REST
                panel = str(getattr(parameter, "rich_help_panel", None) or first)
                panels.setdefault(panel, []).append((_signature(parameter), _explained(parameter)))
        rest = panels.pop(_REST, [])
        for name, rows in [*panels.items(), (_REST if any(panels.values()) else "Options", rest)]:
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows, _LEFT)

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first paragraph for the overview, whole."""
        return " ".join((self.help or "").split("\n\n")[0].split())


def _missing(ctx: Any, parameters: list[Any]) -> str:
    """Name everything that is missing, and show the whole command."""
    known = ctx.params.keys() | (ctx.default_map or {}).keys()
    wanted = [_signature(each) for each in parameters if each.required and each.name not in known]
    return f"missing {' and '.join(wanted)}; the whole command: {shlex.join(typed())} {' '.join(wanted)}"


def describe(error: Any) -> str:
    """Describe a wrong command line in the style of gnnrl's own errors."""
    message: str = error.message[:1].lower() + error.message[1:]
    if parameter := getattr(error, "param", None):
        message = f"{_name(parameter)}: {message}"
    elif (near := getattr(error, "possibilities", ())) != ():
        hint = question(error.option_name, near or ())
        message = f"there is no option {error.option_name}{hint and f'; {hint}'}"
    context = getattr(error, "ctx", None)
    return message + (f"\nTry '{context.command_path} --help'." if context else "")


def _refusal(error: typer.BadParameter) -> str:
    """Describe a wrong value; if the option takes a few names, ask for the nearest one."""
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


def _signature(parameter: Any) -> str:
    """Return an option as it is written, such as `--episodes N`; a flag has no value."""
    if isinstance(parameter, TyperArgument):
        return str(parameter.metavar or parameter.name)
    name = "-h, --help" if _name(parameter) == "--help" else _name(parameter)
    return name if parameter.is_flag else f"{name} {parameter.metavar or _value(parameter.type_descriptor.annotation)}"


def _value(annotation: Any) -> str:
    """Return how a value of a type is shown: a choice by its names, a number as N or X."""
    kinds = {annotation, *get_args(annotation)}
    return "|".join(_names(annotation)) or ("X" if float in kinds else "N" if int in kinds else "TEXT")


def _name(parameter: Any) -> str:
    """Return the name of an argument, or the longest form of an option."""
    return str(parameter.metavar if isinstance(parameter, TyperArgument) else max(parameter.opts, key=len))


def _explained(parameter: Any) -> str:
    """Return the help of an option, with its default if the help does not say it."""
    text, default = parameter.help or "", parameter.default
    shown = isinstance(parameter, TyperOption) and parameter.show_default and not parameter.is_flag
    return f"{text} (default {default})" if shown and default is not None and not callable(default) else text
