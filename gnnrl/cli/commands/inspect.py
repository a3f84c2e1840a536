"""`gnnrl inspect`: what of a network can shrink, and what stands in the way of the rest."""

import json
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration, plain, say
from gnnrl.cli.inputs import Source, load_network
from gnnrl.cli.jobs import timed
from gnnrl.cli.width_rules import Widths, show_rules


def inspect(
    model: options.ModelArgument,
    weights: options.WeightsOption = None,
    input_shape: options.InputShapeOption = None,
    constraint: Annotated[
        str | None, typer.Option(help='A limit to check, e.g. "macs<=50%".', metavar="TEXT", show_default=False)
    ] = None,
    as_json: options.JsonOption = False,
    min_width: options.MinWidthOption = 1,
    round_to: options.RoundToOption = "auto",
    keep: options.KeepOption = None,
    bounds: options.BoundsOption = None,
    only: options.OnlyOption = None,
) -> None:
    """Print the size of a network, its groups of channels, and what is frozen and why.

    gnnrl inspect torchvision:resnet18 --constraint "macs<=50%"
    """
    widths = Widths.take(dict(locals()))
    with narration(quiet=True) as narrator:
        narrator.begin("loading PyTorch")
        from gnnrl.network.description import Description
        from gnnrl.network.tracing.tracer import trace
        from gnnrl.pruning.projection import Projection

        rules = widths.rules()
        fed = load_network(Source(model=model, weights=weights, input_shape=input_shape), "cpu", narrator)
        narrator.begin("tracing")
        network = trace(fed.model, fed.example_inputs)
        network = (
            timed(network, constraint, fed.model, fed.example_inputs, narrator) if constraint is not None else network
        )
        description = Description.of(network, rules.ladders(network))
        budget = Projection.build(network, constraint, rules).budget if constraint is not None else None
    facts = widths.facts(network)
    if as_json:
        limits = dict(budget.limits) if budget else None
        typer.echo(json.dumps({"model": model, **description.to_dict(), "rules": facts, "limits": limits}))
        return
    told = "\n".join([str(description), "", *show_rules(facts)]) if facts["rounding"] else str(description)
    typer.echo(plain(told))
    if budget:
        say(f"The limit {constraint} ({budget}) can be met.")
