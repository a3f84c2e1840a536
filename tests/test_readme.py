"""The snippets of the README run as they stand there."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnrl.artifacts import bundle
from gnnrl.network.surgery import remove
from gnnrl.pruning.plan import Plan
from tests.topologies import images, topology, traced

README = Path(__file__).parents[1] / "README.md"


def snippets(section: str) -> list[str]:
    """The Python blocks of a section."""
    text = README.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_a_network_is_taken_home_in_three_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    case = traced("residual")
    plan = Plan.uniform(case.network, "macs<=50%").with_kept([torch.rand(n).numpy() for n in case.network.widths])
    small = remove(case.model, case.network, plan.kept or ())
    bundle.save("out", small, plan, {})
    space: dict[str, Any] = {"MyNetwork": lambda: topology("residual").model, "example_inputs": images()}
    found = snippets("Take it home")
    try:
        for snippet in found:
            exec(compile(snippet, "README.md", "exec"), space)
    finally:
        sys.modules.pop("narrow", None)

    assert len(found) == 4
    assert capsys.readouterr().out.startswith("True ")
    with torch.no_grad():
        assert torch.equal(space["model"].eval()(case.example_inputs), small(case.example_inputs))
