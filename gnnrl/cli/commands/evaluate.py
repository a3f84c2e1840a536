"""`gnnrl evaluate`: how good a saved result is."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration, say
from gnnrl.cli.inputs import Source, check_named, load_network, load_splits


def evaluate(
    result: Annotated[Path, typer.Argument(metavar="DIR", help="What demo or prune saved.", show_default=False)],
    model: options.ModelOption,
    data: options.DataOption,
    device: options.DeviceOption = "cpu",
    as_json: options.JsonOption = False,
    input_shape: options.InputShapeOption = None,
    mean: options.MeanOption = None,
    std: options.StdOption = None,
) -> None:
    """Load a saved result into a fresh network and measure its top-1 on the test images."""
    with narration(quiet=True) as narrator:
        source = Source(model=model, input_shape=input_shape, mean=mean, std=std)
        check_named(source, data, device)
        narrator.begin("loading PyTorch")
        from dataclasses import replace

        from gnnrl.artifacts.bundle import load
        from gnnrl.training import evaluator

        fed = load_network(source, device, narrator)
        small = load(fed.model, result)
        splits = load_splits(data, replace(fed, model=small), narrator)
        narrator.begin("testing")
        score = evaluator(splits.test, device=device)(small)
    if as_json:
        typer.echo(json.dumps({"score": score, "test_images": len(splits.test), "result": str(result)}))
    else:
        say(f"{result}: top-1 {score:.2%} on {len(splits.test):,} test images")
