"""What networks, plans and results show in a notebook."""

from gnnrl.pruning.plan import Plan
from gnnrl.report.notebook import show_network, show_plan, show_result
from tests.report.results import Page, result


def test_networks_plans_and_results_show_themselves_in_a_notebook() -> None:
    found = result()

    assert found.network._repr_html_() == show_network(found.network)
    assert found.plan._repr_html_() == show_plan(found.plan)
    assert found._repr_html_() == show_result(found.record())
    for shown in (found.network, found.plan, found):
        page = Page(shown._repr_html_())
        assert all(name in page.text for name in found.plan.names if shown is not found)
        assert not page.count("script")


def test_bars_of_a_plan_show_what_each_group_keeps_of_its_own_channels() -> None:
    plan = result().plan
    sizes = [group.size for group in result().network.groups]
    shares = [f"width:{100 * width / size:.1f}%" for width, size in zip(plan.widths, sizes, strict=True)]
    page = Page(show_plan(plan))

    assert [found["style"] for tag, found in page.elements if tag == "i"] == shares
    assert all(f"{width} of {size}" in page.text for width, size in zip(plan.widths, sizes, strict=True))
    unknown = Page(show_plan(Plan.from_dict(plan.to_dict())))
    assert not unknown.count("i")
    assert f"{plan.names[0]}{plan.widths[0]}" in unknown.text
