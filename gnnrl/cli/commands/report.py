"""`gnnrl report`: the report of a saved result, written again, or a running search in the browser."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration


def report(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="What demo or prune saved, a sweep too; with --live, their --out.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The page to write. Default: DIR/report.html; with --live, DIR.live.html.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show a running search in the browser: a page that refreshes itself.")
    ] = False,
    port: Annotated[int | None, typer.Option(hidden=True, help="No longer used.")] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Write the report of a saved result or sweep again: one HTML file that needs nothing else.

    gnnrl report gnnrl-demo
    """
    if port is not None:
        typer.echo("warning: --port has no effect any more: the live page is a file, not a server", err=True)
    if live:
        _follow(result, out, as_json=as_json)
        return
    with narration(quiet=True) as narrator:
        narrator.begin("reading the result")
        from gnnrl.errors import ConfigError
        from gnnrl.report.page import render
        from gnnrl.report.record import read_record
        from gnnrl.report.sweep import read_sweep, render_sweep
        from gnnrl.storage.layout import REPORT, SWEEP

        path = out or result / REPORT
        swept = (result / SWEEP).is_file()
        page = render_sweep(read_sweep(result)) if swept else render(read_record(result), str(result))
        try:
            path.write_text(page)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another with --out") from error
    typer.echo(
        json.dumps({"report": str(path), "bytes": len(page.encode())}) if as_json else f"{path}: open it in a browser"
    )


def _follow(result: Path, out: Path | None, *, as_json: bool) -> None:
    """Write the page of a run until the run ends or Ctrl-C."""
    from gnnrl.report.live import find_run, follow, page_path

    find_run(result)
    page = out or page_path(result)
    address = page.absolute().as_uri()
    typer.echo(
        json.dumps({"address": address}) if as_json else f"{address}: open it in a browser; Ctrl-C stops updates"
    )
    follow(result, page)
