"""The check of the prose finds what it is meant to find, and folders that were rewritten pass it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import prose

SAID = [
    "It is no directory.",
    "The limit is none.",
    "A network of yours is taken.",
    "Judge so many images.",
    "Keep the one of before.",
    "It goes on after that.",
    "The search was begun.",
    "It is drawn anew.",
    "What mends a network.",
    "Results that tell of it.",
    "It stands beside the result.",
]
FINE = [
    "There is no directory.",
    "It is no longer there.",
    "It is not known, and noticed now.",
    "That is done before it ends.",
    "Besides, it is fast.",
    "Recommend a depended value, amended.",
]


@pytest.mark.parametrize("sentence", SAID)
def test_a_habit_is_found(sentence: str) -> None:
    assert len(list(prose.findings(prose.Text(Path("x.py"), 1, sentence)))) == 1


@pytest.mark.parametrize("sentence", FINE)
def test_plain_english_passes(sentence: str) -> None:
    assert not list(prose.findings(prose.Text(Path("x.py"), 1, sentence)))


def test_every_habit_has_an_example() -> None:
    used = {finding.instead for sentence in SAID for finding in prose.findings(prose.Text(Path("x.py"), 1, sentence))}

    assert used == {*prose.HABITS.values()}


@pytest.fixture
def found(tmp_path: Path) -> Callable[[str, str], list[int]]:
    """Lines of a file of this name in which something is found."""

    def find(name: str, content: str) -> list[int]:
        path = tmp_path / name
        path.write_text(content)
        return sorted(finding.line for text in prose.texts(path) for finding in prose.findings(text))

    return find


def test_docstrings_comments_and_messages_of_code_are_read(found: Callable[[str, str], list[int]]) -> None:
    code = '"""What it is."""\n\nx = 1  # begun\ny = f"{x} is no " f"number of {x} yours"\n'
    code += 'z = "is drawn anew"\nanew = "anew"\n'

    assert found("code.py", code) == [1, 3, 4, 5]


def test_pages_are_read_without_their_code(found: Callable[[str, str], list[int]]) -> None:
    page = "# Title\n\n```python\nanew = 1\n```\n\nThis is `anew` and goes\non.\n\n- begun\n- `begun`\n| a | mends |\n"

    assert found("page.md", page) == [7, 10, 12]


def test_templates_are_read_without_markup(found: Callable[[str, str], list[int]]) -> None:
    assert found("page.html", '<p class="begun">{{ anew }} it is\n\n{% if mend %}begun{% endif %}</p>\n') == [3]


def test_sentences_are_measured_without_code_tables_and_links(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One two three\n\nOne `two three` [four](five six). Two are enough.\n\n- Item of\n  four words\n\n| a |\n"
    )

    assert prose.sentence_lengths(page) == [3, 3, 4]
    assert prose.mean_sentence(page) == pytest.approx(10 / 3)


@pytest.mark.parametrize("place", prose.REWRITTEN)
def test_what_was_rewritten_keeps_to_plain_english(place: str) -> None:
    assert prose.files(place), "remove it from REWRITTEN, or follow its new name"
    assert not list(map(str, prose.habits(place)))


@pytest.mark.parametrize("page", prose.pages(*prose.REWRITTEN), ids=lambda page: page.name)
def test_sentences_of_rewritten_pages_are_short(page: Path) -> None:
    assert prose.mean_sentence(page) <= prose.LONGEST_MEAN
