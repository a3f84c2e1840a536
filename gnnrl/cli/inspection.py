"""`gnnrl inspect`: what of a network can shrink, and what stands in the way of the rest."""

import json
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration
from gnnrl.cli.sources import Source, load_network


def inspect(
    model: options.ModelArgument,
    weights: options.WeightsOption = None,
    input_shape: options.InputShapeOption = None,
    constraint: Annotated[
        str | None, typer.Option(help='A limit to check, e.g. "macs<=50%".', metavar="TEXT", show_default=False)
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Print the size of a network, its groups of channels, and what is frozen and why.

    gnnrl inspect torchvision:resnet18 --constraint "macs<=50%"
    """
    with narration(quiet=True) as narrator:
        narrator.begin("loading PyTorch")
        from gnnrl.network.description import Description
        from gnnrl.network.tracer import trace
        from gnnrl.pruning.projection import Projection

        fed = load_network(Source(model=model, weights=weights, input_shape=input_shape), "cpu", narrator)
        narrator.begin("tracing")
        network = trace(fed.model, fed.example_inputs)
        budget = Projection.build(network, constraint).budget if constraint else None
    description = Description.of(network)
    if as_json:
        limits = dict(budget.limits) if budget else None
        typer.echo(json.dumps({"model": model, **description.to_dict(), "limits": limits}))
        return
    typer.echo(description)
    if budget:
        typer.echo(f"\nThe limit {constraint} ({budget}) can be met.")
