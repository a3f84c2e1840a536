"""`gnnrl evaluate`: how good a saved result is."""

import json

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration, say
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.inputs import check_named, load_network, load_splits
from gnnrl.cli.saved import Given, ResultArgument, complete


@takes_fields()
def evaluate(
    result: ResultArgument,
    given: Given,
    device: options.DeviceOption = "cpu",
    as_json: options.JsonOption = False,
) -> None:
    """Load a saved result into a fresh network and measure its top-1 on the test images.

    gnnrl evaluate small
    """
    with narration(quiet=True) as narrator:
        narrator.begin("loading PyTorch")
        source, data = complete(result, given, with_data=True)
        check_named(source, data, device)
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
