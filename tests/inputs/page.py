"""The page of all bad inputs: `scripts/write_bad_inputs.py` writes it, `tests/test_bad_inputs.py` compares with it."""

import re
from collections.abc import Sequence
from types import MappingProxyType

from tests.inputs import data_cases, file_cases, network_cases, setting_cases
from tests.inputs.case import Case, Said

TOPICS = MappingProxyType(
    {
        "Networks": network_cases.CASES,
        "Limits, settings and places": setting_cases.CASES,
        "Images, labels and loaders": data_cases.CASES,
        "Files": file_cases.CASES,
    }
)
_OPENING = """# Bad inputs

<!-- Written by scripts/write_bad_inputs.py from tests/inputs: change the cases there, not this page. -->

What gnnrl says of inputs that it cannot take, or only in part. Each line is what a test sees: the input is given to the
command line or to the Python API, and refused before anything is calibrated, searched or trained, without a traceback,
and nothing is left behind. `...` stands for what PyTorch or another library says; lines of code are all written as
`network.py:12`. From Python the same errors are raised, with the exit code as `error.exit_code`; see
[Trust](trust.md#exit-codes). A code of 0 means that the work goes on.
"""


def page(rows: Sequence[tuple[Case, Said]]) -> str:
    """The whole page, from what gnnrl said of every case."""
    said = {id(case): answer for case, answer in rows}
    parts = [_OPENING]
    for title, cases in TOPICS.items():
        table = "\n".join(row(case, said[id(case)]) for case in cases)
        parts.append(f"## {title}\n\n| input | what gnnrl says | exit code |\n| --- | --- | ---: |\n{table}\n")
    return "\n".join(parts)


def row(case: Case, said: Said) -> str:
    """A line of the table."""
    return f"| {_escaped(case.given, code=True)} | {_escaped(case.shown(said))} | {said.code} |"


def _escaped(text: str, *, code: bool = False) -> str:
    """Text that Markdown leaves as it is, in a cell of a table; `code` keeps what is in backticks."""
    text = text.replace("|", "\\|")
    if code:
        return text
    return re.sub(r"([*_\[\]`])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
