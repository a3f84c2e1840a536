"""Write docs/bad-inputs.md: what gnnrl says of every input in tests/inputs.

python scripts/write_bad_inputs.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Try all inputs, and write the page."""
    sys.path.insert(0, str(ROOT))
    from tests.inputs.page import TOPICS, page

    rows = [(case, case.attempt()) for cases in TOPICS.values() for case in cases]
    (ROOT / "docs" / "bad-inputs.md").write_text(page(rows))


if __name__ == "__main__":
    main()
