import json
from functools import partial
from typing import Any

import pytest

from gnnrl.compression import timing
from gnnrl.pruning.rules import WidthRules
from tests.compression.tiny import compressed
from tests.engines.device import Engine
from tests.latency.machine import counting_clock
from tests.topologies import topology


def test_a_limit_on_latency_gives_a_network_that_is_so_fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """On a machine whose time is its multiply-accumulates, so that the test does not depend on this one."""
    model, stages = topology("residual").model, []
    with counting_clock() as clock:
        for name in ("measure_latency", "time_plans"):
            monkeypatch.setattr(timing, name, partial(getattr(timing, name), clock=clock))
        settings = {"model": model, "constraint": "latency<=60%, params<=90%", "rules": WidthRules(round_to=1)}
        result = compressed(**settings, on_stage=stages.append)

    assert result.latency is not None
    assert 0.9 < result.latency.used <= 1
    assert result.cost["pruned"].macs <= 0.6 * result.cost["dense"].macs
    assert stages[:4] == ["trace", "latency", "calibrate", "curves"]
    assert json.loads((result.save(tmp_path / "out") / "manifest.json").read_text())["latency"]["used"] <= 1


@pytest.mark.parametrize(("precision", "share"), [("", 60), (":int8", 45)])
def test_a_limit_holds_in_the_engine_that_it_names(precision: str, share: int) -> None:
    engine = Engine()
    settings = {"rules": WidthRules(round_to=1), "engines": {"board": engine}}
    result = compressed(**settings, constraint=f"latency<={share}%@board{precision}")
    assert result.latency is not None
    assert 0.9 < result.latency.used <= 1
    assert result.latency.where.startswith(f"board, {precision.lstrip(':') or 'fp32'}, ")
    model, inputs = topology("residual").model, topology("residual").example_inputs
    own = precision.lstrip(":") or "fp32"
    allowed = share / 100 * engine.build(model, inputs, own)
    assert 0.9 * allowed < engine.build(result.model, inputs, own) <= allowed
