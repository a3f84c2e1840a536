"""`gnnrl report`: the report of a saved result, written again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration


def report(
    result: Annotated[Path, typer.Argument(metavar="DIR", help="What demo or prune saved.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page to write. Default: DIR/report.html.", show_default=False),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Write the report of a saved result again: one HTML file that needs nothing else.

    gnnrl report gnnrl-demo
    """
    with narration(quiet=True) as narrator:
        narrator.begin("reading the result")
        from gnnrl.bundle import REPORT
        from gnnrl.errors import ConfigError
        from gnnrl.report.page import render
        from gnnrl.report.record import read_record

        record = read_record(result)
        path = out or result / REPORT
        page = render(record, str(result))
        try:
            path.write_text(page)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another with --out") from error
    typer.echo(
        json.dumps({"report": str(path), "bytes": len(page.encode())}) if as_json else f"{path}: open it in a browser"
    )
