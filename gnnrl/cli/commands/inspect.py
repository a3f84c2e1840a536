"""`gnnrl inspect`: what can shrink in a network, and what keeps the rest."""

from typing import TYPE_CHECKING, Annotated

import typer

from gnnrl.cli.command import command, torch_loaded
from gnnrl.cli.completion import complete_model
from gnnrl.cli.console import Narrator
from gnnrl.cli.inputs import Source, check_named
from gnnrl.cli.options import MODEL, option
from gnnrl.cli.width_rules import Widths

if TYPE_CHECKING:
    from gnnrl.cli.inspection import Inspected


@command(quiet=True, without={"pretrained", "mean", "std"})
def inspect(
    narrator: Narrator,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL, show_default=False, autocompletion=complete_model)
    ],
    source: Source,
    widths: Widths,
    constraint: Annotated[
        str | None, option('A limit to check, such as "macs<=50%".', metavar="LIMIT", show_default=False)
    ] = None,
) -> "Inspected":
    """Print the size of a network, its groups of channels, and what is frozen and why.

    gnnrl inspect torchvision:resnet18 --constraint "macs<=50%"
    """
    check_named(source)
    widths.check(constraint)
    with torch_loaded(narrator):
        from gnnrl.cli.follower import Follower
        from gnnrl.cli.inspection import Applied, Inspected
        from gnnrl.cli.loading import load_network
        from gnnrl.compression.study import Study
        from gnnrl.modules.outputs import parse_outputs
        from gnnrl.network.description import Description

        fed, rules = load_network(source, "cpu", narrator), widths.rules()
        follower = Follower(narrator, "top1", 1, None)
        outputs = parse_outputs(source.outputs)
        study = Study(fed.model, fed.example_inputs, rules=rules, outputs=outputs, observer=follower, repair="none")
        goal = None if constraint is None else study.goal(constraint)
        network = study.network if goal is None else goal.network
        return Inspected(
            model=model,
            constraint=constraint,
            budget=None if goal is None else goal.projection.budget,
            description=Description.of(network, rules.ladders(network)),
            rules=Applied.to(network, widths),
        )
