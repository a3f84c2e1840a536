"""Parts that all commands share: options, narrator, PyTorch, and the outcome, printed for people or as JSON."""

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from importlib import import_module
from typing import Annotated, Any

import typer

from gnnrl.cli.console import Narrator, narration
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.options import option

JsonOption = Annotated[bool, option("Print one JSON object on stdout, and nothing else.", "--json")]


class Outcome(ABC):
    """The outcome of a command, a dataclass. Its fields are the JSON object, unless it overrides `facts`."""

    def facts(self) -> Mapping[str, object]:
        """Return what `--json` prints; paths are written as text."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @abstractmethod
    def show(self) -> None:
        """Print the outcome for people, on stdout."""

    def deliver(self, *, as_json: bool) -> None:
        """Print the outcome on stdout."""
        if as_json:
            typer.echo(json.dumps(self.facts(), default=str))
        else:
            self.show()


def command(
    *, quiet: bool = False, without: Collection[str] = ()
) -> Callable[[Callable[..., Outcome | None]], Callable[..., None]]:
    """Make a command of a function that returns its outcome.

    The command has the fields of the function's dataclasses as options, and `--json`. A parameter `narrator` is not an
    option: it gets a narrator, which ends with the function.

    Args:
        quiet: never report stages without a terminal; by default only `--json` is quiet.
        without: fields that are not options of this command.
    """

    def make(function: Callable[..., Outcome | None]) -> Callable[..., None]:
        signature = inspect.signature(function)
        own = [parameter for name, parameter in signature.parameters.items() if name != "narrator"]
        is_told = len(own) < len(signature.parameters)

        @wraps(function)
        def run(*, as_json: bool, **given: Any) -> None:
            if not is_told:
                outcome = function(**given)
            else:
                with narration(quiet=quiet or as_json) as narrator:
                    outcome = function(narrator=narrator, **given)
            if outcome is not None:
                outcome.deliver(as_json=as_json)

        flag = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption)
        run.__signature__ = signature.replace(parameters=[*own, flag])  # type: ignore[attr-defined]
        return takes_fields(without=without)(run)

    return make


@contextmanager
def torch_loaded(narrator: Narrator, threads: int | None = None) -> Iterator[None]:
    """Load PyTorch, which takes seconds, and compute on this many threads inside; None leaves the choice to PyTorch."""
    narrator.begin("loading PyTorch")
    import_module("gnnrl.compression.pipeline")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
