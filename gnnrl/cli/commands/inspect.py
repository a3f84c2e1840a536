"""`gnnrl inspect`: what of a network can shrink, and what stands in the way of the rest."""

import json
from typing import Annotated

import typer

from gnnrl.cli import options
from gnnrl.cli.console import narration, plain, say
from gnnrl.cli.fields import takes_fields
from gnnrl.cli.inputs import Source, load_network
from gnnrl.cli.startup import import_engine
from gnnrl.cli.width_rules import Widths, show_rules


@takes_fields()
def inspect(
    model: options.ModelArgument,
    widths: Widths,
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
    source = Source(model=model, weights=weights, input_shape=input_shape)
    if constraint is not None:
        from gnnrl.network.cost import Constraint

        Constraint.parse(constraint)
    rules = widths.rules()
    with narration(quiet=True) as narrator:
        import_engine(narrator)
        from gnnrl.cli.follower import Follower
        from gnnrl.compression.study import Study
        from gnnrl.network.description import Description

        fed = load_network(source, "cpu", narrator)
        follower = Follower(narrator, "top1", 1, None)
        study = Study(fed.model, fed.example_inputs, rules=rules, importance="l2", repair="none", observer=follower)
        goal = None if constraint is None else study.goal(constraint)
        network = study.network if goal is None else goal.network
        description = Description.of(network, rules.ladders(network))
        budget = None if goal is None else goal.projection.budget
    facts = widths.facts(network)
    if as_json:
        limits = dict(budget.limits) if budget else None
        typer.echo(json.dumps({"model": model, **description.to_dict(), "rules": facts, "limits": limits}))
        return
    told = "\n".join([str(description), "", *show_rules(facts)]) if facts["rounding"] else str(description)
    typer.echo(plain(told))
    if budget:
        say(f"The limit {constraint} ({budget}) can be met.")
