"""Views of networks, plans and results in a notebook: the parts of the report, in its style."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from gnnrl.network.description import Description
from gnnrl.network.obstacles import shorten
from gnnrl.network.structure import Network
from gnnrl.pruning.plan import Plan
from gnnrl.report.blocks import find_runs
from gnnrl.report.charts import draw_search
from gnnrl.report.drawing import draw_network
from gnnrl.report.elements import element
from gnnrl.report.limits import headline
from gnnrl.report.names import STAGES, count, metric_name, plural, score
from gnnrl.report.page import size_rows, style, summary
from gnnrl.report.record import Record

_MOST_ROWS = 40


def show_network(network: Network) -> str:
    """A drawing, the groups that can shrink, and what stands in the way."""
    found = Description.of(network)
    rows = [
        (row.name, row.kind, f"{row.width:,}", f"{row.macs_share:.1%}", f"{row.macs_per_channel:,}")
        for row in found.shrinking
    ]
    obstacles = [(", ".join(o.groups[:3]), o.reason, o.remedy, f"{o.macs_share:.1%}") for o in found.obstacles]
    sizes = f"{count(found.dense.macs)} MACs, {count(found.dense.params)} parameters, {len(rows)} groups can shrink"
    return _view(
        element("p", element("b", network.model_class), f": {sizes}"),
        draw_network(find_runs(network)),
        _table(("group", "kind", "width", "of the MACs", "MACs a channel"), rows, numbers=3),
        _table(("frozen", "reason", "to do", "of the MACs"), obstacles, numbers=1) if obstacles else "",
        element("p", f"Not run by these inputs, left unchanged: {shorten(found.unrun, 'module')}.")
        if found.unrun
        else "",
    )


def show_plan(plan: Plan) -> str:
    """Draw the channels that every group keeps, as a share of its own, and as a number."""
    sizes = plan.sizes or plan.widths
    rows = [
        (name, _bar(width / size) if plan.sizes else "", f"{width:,}" + (f" of {size:,}" if plan.sizes else ""))
        for name, width, size in zip(plan.names, plan.widths, sizes, strict=True)
    ]
    chosen = "the kept units are chosen" if plan.kept is not None else "a criterion chooses the kept units"
    return _view(
        element("p", element("b", "Plan"), f": {plural(len(rows), 'group')}; {chosen}"),
        _table(("group", "", "channels"), rows, numbers=1),
    )


def show_result(record: Record) -> str:
    """Show the limit, sizes, scores, the drawing and the search."""
    scores = [(STAGES[name], score(record.score[name], record.metric)) for name in record.stages]
    sizes = [(row.name, row.before, row.after, row.left) for row in size_rows(record)]
    return _view(
        element("p", element("b", headline(record.model, record.constraint, record.limits)), f": {summary(record)}"),
        _table(("", "before", "after", "left"), sizes, numbers=3),
        _table((metric_name(record.metric), ""), scores, numbers=1),
        draw_network(record.runs),
        draw_search(record.trials, record.reward) if len(record.trials) > 1 else "",
    )


def _view(*parts: object) -> str:
    return str(element("style", style()) + element("div", *parts, class_="gnnrl notebook"))


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], numbers: int = 0) -> Markup:
    """A table whose last columns are numbers."""
    found = list(rows)
    first = len(heads) - numbers

    def line(kind: str, cells: Sequence[object]) -> Markup:
        return element(
            "tr", *(element(kind, cell, class_="n" if at >= first else None) for at, cell in enumerate(cells))
        )

    shown = [line("td", row) for row in found[:_MOST_ROWS]]
    more = len(found) - len(shown)
    rest = element("p", f"and {more} more", class_="note") if more else Markup("")
    return element("table", element("thead", line("th", heads)), element("tbody", *shown)) + rest


def _bar(share: float) -> Markup:
    return element("span", element("i", style=f"width:{100 * share:.1f}%"), class_="share")


def tell_result(record: Record) -> str:
    """Return a result as three lines of text: limit and sizes, scores, search."""
    sizes = ", ".join(
        f"{change.pruned:,.0f} of {change.dense:,.0f} {name} ({change.ratio:.1%})"
        for name, change in (("MACs", record.macs), ("parameters", record.params))
    )
    scores = ", ".join(f"{STAGES[name]} {record.score[name]:.4g}" for name in record.stages)
    seconds = sum(record.stage_seconds.values())
    return (
        f"{headline(record.model, record.constraint, record.limits)}; {sizes}\nscore: {scores}\n"
        f"{record.searcher} judged {plural(len(record.trials), 'plan')}, {seconds:.0f} s in all"
    )
