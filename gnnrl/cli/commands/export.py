"""`gnnrl export`: a saved result for programs without gnnrl."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gnnrl.cli.command import Outcome, command
from gnnrl.cli.console import Narrator
from gnnrl.cli.options import option
from gnnrl.cli.saved import Given, ResultArgument, complete
from gnnrl.imports import install_command
from gnnrl.storage.files import check_file

if TYPE_CHECKING:
    from gnnrl.artifacts.exported import Export


@dataclass(frozen=True, slots=True)
class Exported(Outcome):
    """The files of an export, and how they were checked."""

    record: "Export"

    def facts(self) -> Mapping[str, object]:
        """Return the fields of the record."""
        return asdict(self.record)

    def show(self) -> None:
        """Print files, batch size, and the difference from PyTorch."""
        typer.echo("\n".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        record = self.record
        files = " and ".join(map(str, record.files))
        yield f"{files}: {record.size:,} bytes{f', opset {record.opset}' if record.opset else ''}"
        if record.path.suffix == ".py":
            yield "checked: the dense network with this patch computes what the pruned network computes"
            return
        yield "batch of any size" if record.dynamic_batch else f"the batch is fixed: {record.static_reason}"
        if record.relative is None:
            yield f"not compared with PyTorch: onnxruntime is not installed; run: {install_command('onnx')}"
            return
        sizes = " and ".join(map(str, record.batch_sizes))
        yield f"differs from PyTorch by {record.relative:.1e} of the largest output (batch of {sizes})"


@command(quiet=True, without={"mean", "std", "data"})
def export(
    narrator: Narrator,
    result: ResultArgument,
    given: Given,
    out: Annotated[Path, option("File to write.", "--out", metavar="FILE", show_default=False)],
    form: Annotated[
        Literal["onnx", "pt2", "patch"] | None,
        option(
            "onnx: for onnxruntime and others (.onnx); pt2: for torch.export.load (.pt2); patch: Python that narrows "
            "the dense network, with a state dict (.py). Default: by the suffix of --out.",
            "--format",
        ),
    ] = None,
    static_batch: Annotated[
        bool, option("Fix the batch size to that of the input; by default it may be any.", "--static-batch")
    ] = False,
    opset: Annotated[int | None, option("Version of the ONNX operators. Default: PyTorch's choice.", min=18)] = None,
    force: Annotated[bool, option("Replace the file if it exists.", "--force")] = False,
) -> Exported:
    """Write a saved result as ONNX, as a program of torch.export, or as a Python patch of widths.

    gnnrl export small --out small.onnx
    """
    check_file(out, force=force)
    narrator.begin("loading PyTorch")
    source, _ = complete(result, given, with_data=False)
    from gnnrl.artifacts.bundle import load
    from gnnrl.artifacts.formats import export as write
    from gnnrl.cli.loading import load_network

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
    return Exported(record)
