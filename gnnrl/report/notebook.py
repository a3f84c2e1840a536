"""Views of networks, plans and results in a notebook: the parts of the report, in its style."""

from gnnrl.network.description import Description
from gnnrl.network.obstacles import shorten
from gnnrl.network.structure import Network
from gnnrl.pruning.plan import Plan
from gnnrl.report.blocks import find_runs
from gnnrl.report.charts import draw_search
from gnnrl.report.drawing import draw_network
from gnnrl.report.elements import fill
from gnnrl.report.limits import headline
from gnnrl.report.names import STAGES, metric_name, plural, score, unrepaired
from gnnrl.report.page import size_rows, summary
from gnnrl.report.record import Record


def show_network(network: Network) -> str:
    """A drawing, the groups that can shrink, and what stands in the way."""
    found, drawing = Description.of(network), draw_network(find_runs(network))
    return fill("view_network.html", found=found, network=network, drawing=drawing, shorten=shorten)


def show_plan(plan: Plan) -> str:
    """Draw the channels that every group keeps, as a share of its own, and as a number."""
    rows = list(zip(plan.names, plan.widths, plan.sizes or plan.widths, strict=True))
    return fill("view_plan.html", plan=plan, rows=rows)


def show_result(record: Record) -> str:
    """Show the limit, sizes, scores, the drawing and the search."""
    return fill(
        "view_result.html",
        headline=headline(record.model, record.constraint, record.limits),
        summary=summary(record),
        sizes=list(size_rows(record)),
        metric=metric_name(record.metric),
        scores=[(STAGES[name], score(record.score[name], record.metric)) for name in record.stages],
        drawing=draw_network(record.runs),
        search=draw_search(record.trials, record.reward),
    )


def tell_result(record: Record) -> str:
    """Return a result as lines of text: limit and sizes, scores, search, and what stands against them."""
    sizes = ", ".join(
        f"{change.pruned:,.0f} of {change.dense:,.0f} {name} ({change.ratio:.1%})"
        for name, change in (("MACs", record.macs), ("parameters", record.params))
    )
    scores = ", ".join(f"{STAGES[name]} {record.score[name]:.4g}" for name in record.stages)
    seconds = sum(record.stage_seconds.values())
    return (
        f"{headline(record.model, record.constraint, record.limits)}; {sizes}\nscore: {scores}\n"
        f"{record.searcher} judged {plural(len(record.trials), 'plan')}, {seconds:.0f} s in all"
        + (f"\n{untouched}" if (untouched := unrepaired(record.unrepaired, record.unsolved)) else "")
        + (f"\nThese numbers say little: {record.doubt}" if record.doubt else "")
    )
