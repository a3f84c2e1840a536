"""Scores of a network that guesses: the page and the terminal say so, and no advice is made of them."""

from rich.console import Console

from gnnrl.cli.tables import show_result
from gnnrl.report.page import render
from tests.report.results import Page, result

DOUBT = "the network recognises 10.1% of the reward images, 10 classes: no more than guessing."


def test_the_page_says_it_first_and_gives_no_advice() -> None:
    record = result().record({"doubt": DOUBT})
    text = Page(render(record, "out")).text
    assert f"These numbers say little: {DOUBT}" in text
    assert "There is no advice" in text
    assert "fine-tune" not in text
    assert "say little" not in Page(render(result().record(), "out")).text


def test_the_terminal_repeats_it_at_the_end() -> None:
    console = Console(width=200, record=True, quiet=False)
    with console.capture() as captured:
        show_result(console, result().record({"doubt": DOUBT}), "x", 1.0)
    assert f"These numbers say little: {DOUBT}" in captured.get()
