import re
from pathlib import Path

import pytest

from tests.report.results import result
from tests.topologies import topology


def test_the_card_says_how_to_load_it_in_three_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    card = (result().save("out") / "README.md").read_text()
    found = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    space = {"fresh_model": topology("residual").model}
    exec(found[0], space)

    assert len(found[0].strip().splitlines()) <= 3
    assert type(space["small"]) is type(result().model)
    assert card.startswith("---\nlibrary_name: gnnrl\n")
    assert f"{result().cost['pruned'].params:,}" in card
    assert f"value: {result().score['repaired']:.4f}" in card
