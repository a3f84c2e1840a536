"""A folder to work in, and a saved result."""

from pathlib import Path

import pytest

from gnnrl.artifacts import bundle
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.zoo.models import example_inputs, resolve_model
from tests.cli.running import FACTORY


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = resolve_model("digits-resnet").eval()
    network = trace(model, example_inputs("digits-resnet"))
    plan = Plan.of_widths(network, network.widths // 2, [range(group.size) for group in network.groups])
    assert plan.kept is not None
    small = remove(model, network, plan.kept)
    facts = {"attributes": network.stated(network.alive(plan.kept))}
    return bundle.save(tmp_path / "small", small, plan, facts)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("own.py").write_text(FACTORY)
