"""`gnnrl export`: a saved result for programs that know nothing of gnnrl."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.inputs import load_network
from gnnrl.cli.saved import Given, ResultArgument, complete
from gnnrl.imports import install_command

if TYPE_CHECKING:
    from gnnrl.artifacts.exported import Export

Format = Literal["onnx", "pt2", "patch"]


@takes_fields(without={"mean", "std", "data"})
def export(
    result: ResultArgument,
    given: Given,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write; by default its suffix names the format.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="onnx|pt2|patch",
            help="onnx: for onnxruntime and others (.onnx); pt2: for torch.export.load (.pt2); patch: Python that "
            "narrows the dense network, with a plain state dict beside it (.py). Default: by the suffix of --out.",
        ),
    ] = None,
    static_batch: Annotated[
        bool, typer.Option("--static-batch", help="Fix the batch to that of the input; else it may have any size.")
    ] = False,
    opset: Annotated[
        int | None, typer.Option(min=18, metavar="N", help="Version of the ONNX operators. Default: PyTorch's choice.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Write a saved result as ONNX, as a program of torch.export, or as a Python patch of widths.

    gnnrl export small --out small.onnx
    """
    with narration(quiet=True) as narrator:
        narrator.begin("loading PyTorch")
        from gnnrl.artifacts.bundle import load
        from gnnrl.artifacts.formats import export as write
        from gnnrl.storage.files import check_file

        check_file(out, force=force)
        source, _ = complete(result, given, with_data=False)
        fed = load_network(source, "cpu", narrator)
        small = load(fed.model, result)
        narrator.begin("exporting")
        record = write(
            small,
            out,
            form=form,
            example_inputs=fed.example_inputs,
            dense=fed.model,
            dynamic_batch=not static_batch,
            opset=opset,
            force=force,
        )
    if as_json:
        facts = asdict(record) | {"path": str(record.path), "files": [str(path) for path in record.files]}
        typer.echo(json.dumps(facts))
    else:
        typer.echo("\n".join(_told(record)))


def _told(record: "Export") -> list[str]:
    """The record in sentences: files, batch, how near it is to PyTorch."""
    files = " and ".join(str(path) for path in record.files)
    lines = [f"{files}: {record.size:,} bytes{f', opset {record.opset}' if record.opset else ''}"]
    if record.path.suffix == ".py":
        return [*lines, "checked: the dense network and this patch give the pruned one"]
    if record.dynamic_batch:
        lines.append("batch of any size")
    else:
        lines.append(f"the batch is fixed: {record.static_reason}")
    if record.relative is None:
        return [*lines, f"not compared with PyTorch: onnxruntime is not installed; run: {install_command('onnx')}"]
    sizes = " and ".join(map(str, record.batch_sizes))
    return [*lines, f"differs from PyTorch by {record.relative:.1e} of the largest output (batch of {sizes})"]
