"""What networks, plans and results show in a notebook."""

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
