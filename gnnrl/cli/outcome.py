"""Outcomes: what a command returns, printed for people or, with `--json`, as one JSON object."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict

import typer


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
