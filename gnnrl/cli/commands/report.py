"""`gnnrl report`: write the report of a saved result again, or show a running search in the browser."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli.command import Outcome, command
from gnnrl.cli.options import option
from gnnrl.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Reported(Outcome):
    """A report, and its size."""

    report: str
    bytes: int

    def show(self) -> None:
        """Print the path."""
        typer.echo(f"{self.report}: open it in a browser")


@dataclass(frozen=True, slots=True)
class Followed(Outcome):
    """A running search, and the page that shows it."""

    result: Path
    page: Path

    def facts(self) -> Mapping[str, object]:
        """Return the address of the page."""
        return {"address": self.page.absolute().as_uri()}

    def show(self) -> None:
        """Print the address."""
        typer.echo(f"{self.page.absolute().as_uri()}: open it in a browser; Ctrl-C stops updates")

    def deliver(self, *, as_json: bool) -> None:
        """Print the address, then write the page until the run ends, or Ctrl-C."""
        from gnnrl.report.live import follow

        super(Followed, self).deliver(as_json=as_json)  # slots make another class of this one
        follow(self.result, self.page)


@command()
def report(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="The directory that demo or prune saved, also a sweep's. With --live, the --out of the search.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        option(
            "Page to write. Default: DIR/report.html; with --live, DIR.live.html.",
            "--out",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool, option("Show a running search in the browser, on a page that refreshes itself.", "--live")
    ] = False,
    port: Annotated[int | None, option("No longer used.", hidden=True)] = None,
) -> Reported | Followed:
    """Write the report of a saved result or sweep again: one HTML file that needs nothing else.

    gnnrl report gnnrl-demo
    """
    if port is not None:
        typer.echo("warning: --port has no effect any more: the live page is a file, not a server", err=True)
    if live:
        from gnnrl.report.live import find_run, page_path

        find_run(result)
        return Followed(result, out or page_path(result))
    from gnnrl.report.page import render
    from gnnrl.report.record import read_record
    from gnnrl.report.sweep import read_sweep, render_sweep
    from gnnrl.storage.layout import REPORT, SWEEP

    path = out or result / REPORT
    is_sweep = (result / SWEEP).is_file()
    page = render_sweep(read_sweep(result)) if is_sweep else render(read_record(result), str(result))
    try:
        path.write_text(page)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another file with --out") from error
    return Reported(str(path), len(page.encode()))
