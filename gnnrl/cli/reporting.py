"""`gnnrl report`: the report of a saved result, written again, or a running search in the browser."""

import json
from contextlib import suppress
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
        typer.Option("--out", metavar="FILE", help="The page to write. Default: DIR/report.html.", show_default=False),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Show a running search in the browser, on this machine only, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="For --live; 0: any that is free.")] = 0,
    as_json: options.JsonOption = False,
) -> None:
    """Write the report of a saved result or sweep again: one HTML file that needs nothing else.

    gnnrl report gnnrl-demo
    """
    if live:
        _show(result, port, as_json=as_json)
        return
    with narration(quiet=True) as narrator:
        narrator.begin("reading the result")
        from gnnrl.errors import ConfigError
        from gnnrl.report.page import render
        from gnnrl.report.record import read_record
        from gnnrl.report.sweep import read_sweep, render_sweep
        from gnnrl.target import REPORT, SWEEP

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


def _show(result: Path, port: int, *, as_json: bool) -> None:
    """Serve the page of a run until it is interrupted."""
    from gnnrl.report.live import HOME, serve

    with serve(result, port) as server:
        address = f"http://{HOME}:{server.server_address[1]}/"
        typer.echo(json.dumps({"address": address}) if as_json else f"{address}: open it in a browser; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
