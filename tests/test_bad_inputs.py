"""Every bad input of the list is refused, or taken, in the words of `docs/bad-inputs.md`."""

from pathlib import Path

import pytest

from tests.inputs.case import Case
from tests.inputs.page import TOPICS, row

PAGE = (Path(__file__).parents[1] / "docs" / "bad-inputs.md").read_text()
CASES = [case for cases in TOPICS.values() for case in cases]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.given}")
def test_a_bad_input_is_answered_clearly_before_any_work(case: Case) -> None:
    said = case.attempt()

    assert said.code == case.code, said.text
    missing = [part for part in case.says if part not in said.text]
    assert not missing, f"{missing} not in {said.text!r}"
    assert row(case, said) in PAGE.splitlines(), "run scripts/write_bad_inputs.py"


def test_every_kind_of_bad_input_is_tried() -> None:
    assert {case.number for case in CASES} == set(range(1, 43))


def test_the_page_has_a_line_for_each_case_and_no_other() -> None:
    lines = [
        line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| input |", "| ---"))
    ]

    assert len(lines) == len(CASES)
