"""The paper's documentation: its example runs, and no network is known by name."""

import re
import runpy
from pathlib import Path

import pytest

import gnnrl
from gnnrl.training import top1

DOCUMENTATION = Path(__file__).parents[1] / "docs" / "paper_interface.md"


def test_no_network_is_known_by_name() -> None:
    package = Path(gnnrl.__file__).parent
    files = [
        *(package / "_seed_api").glob("*.py"),
        *(package / "lib").rglob("*.py"),
        *(package / "graph_env").glob("*.py"),
    ]
    text = "\n".join(path.read_text() for path in files).lower()
    assert not re.search(r"resnet|mobilenet|vgg|shufflenet", text)


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        (tmp_path / "example.py").write_text(block)
        names = runpy.run_path(str(tmp_path / "example.py"))
    before, after = map(float, re.findall(r"([\d.]+) %", capsys.readouterr().out)[:2])
    assert before > 90
    assert after > before - 10
    small = gnnrl.load(names["digits_resnet"](), "logs/best_network")
    assert 100 * top1(small, names["val_loader"]) == pytest.approx(names["env"].best_accuracy)
