"""What `--help` prints: what everybody needs first, then the other options by subject, each in a line or two.

A command's docstring is its help: its first paragraph says what it does, lines that begin with `gnnrl` are examples.
"""

import shlex
from contextvars import ContextVar
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import ValidationError
from typer.core import TyperArgument, TyperCommand, TyperOption

from gnnrl.errors import question

START = "Start here"
_REST = "More"
_LEFT = 19
"""Characters of the first column; a longer option has a line of its own."""
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


_TYPED: ContextVar[tuple[str, ...]] = ContextVar("typed", default=("gnnrl",))


def typed() -> tuple[str, ...]:
    """Return the command that was typed, for messages that show it with something added."""
    return _TYPED.get()


class Teaching(TyperCommand):
    """A command whose help teaches."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; where one is called as in other programs, suggest ours."""
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
                panels.setdefault(_panel(parameter), []).append((_signature(parameter), _explained(parameter)))
        rest = panels.pop(_REST, [])
        for name, rows in [*panels.items(), (_REST if any(panels.values()) else "Options", rest)]:
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows, _LEFT)

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first paragraph for the overview, whole."""
        return " ".join((self.help or "").split("\n\n")[0].split())


def _missing(ctx: Any, parameters: list[Any]) -> str:
    """Name all that is missing, and the whole command; what was given is read first."""
    known = ctx.params.keys() | (ctx.default_map or {}).keys()
    wanted = [_signature(each) for each in parameters if each.required and each.name not in known]
    return f"missing {' and '.join(wanted)}; the whole command: {shlex.join(typed())} {' '.join(wanted)}"


def told(error: Any) -> str:
    """Return what is said of a wrong command line, in the style of gnnrl's own errors."""
    if parameter := getattr(error, "param", None):
        return f"{_name(parameter)}: {_lowered(error.message)}"
    if (near := getattr(error, "possibilities", ())) != ():
        hint = question(error.option_name, near or ())
        return f"there is no option {error.option_name}{hint and f'; {hint}'}"
    return _lowered(error.message)


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


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


def _panel(parameter: Any) -> str:
    first = START if parameter.required or isinstance(parameter, TyperArgument) else _REST
    return str(getattr(parameter, "rich_help_panel", None) or first)


def _signature(parameter: Any) -> str:
    """An option as it is written, such as `--episodes N`; a flag has no value."""
    if isinstance(parameter, TyperArgument):
        return str(parameter.metavar or parameter.name)
    name = "-h, --help" if _name(parameter) == "--help" else _name(parameter)
    return name if parameter.is_flag or not parameter.metavar else f"{name} {parameter.metavar}"


def _name(parameter: Any) -> str:
    """The name of an option in its longest form, or an argument's."""
    return str(parameter.metavar if isinstance(parameter, TyperArgument) else max(parameter.opts, key=len))


def _explained(parameter: Any) -> str:
    """The help of an option with its default, where it has one that the help does not tell."""
    told, default = parameter.help or "", parameter.default
    shown = isinstance(parameter, TyperOption) and parameter.show_default and not parameter.is_flag
    return f"{told} (default {default})" if shown and default is not None and not callable(default) else told
