"""Engines by name."""

import sys
from pathlib import Path

import pytest

from gnnrl.engines import table
from gnnrl.engines.table import ENGINES, engines_in, find_target
from gnnrl.errors import ConfigError
from tests.engines.device import Engine

DEVICE = Path(__file__).parent / "device.py"


def test_an_engine_is_found_with_its_precision() -> None:
    assert str(find_target("eager")) == "eager"
    assert str(find_target("eager:fp32")) == "eager"
    assert find_target("onnxruntime:int8").precision == "int8"
    assert find_target("board:int8", {"board": Engine()}).precision == "int8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onnxruntim", r"there is no engine 'onnxruntim'; did you mean onnxruntime\? There are eager"),
        ("onnxruntime:int4", "onnxruntime has no precision 'int4'"),
        ("openvino", r"openvino is not installed; run: .*openvino"),
        ("board", r"the engine board needs the methods build\(.*\) and time\(built\), got object"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=message):
        find_target(text, {"board": object()})  # type: ignore[dict-item]


def test_the_command_line_makes_engines_of_files() -> None:
    name = f"{DEVICE}:Engine"
    made = engines_in(f"macs<=50%, latency<=5ms@{name}:int8")
    assert [*made] == [name]
    assert find_target(f"{name}:int8", made).precision == "int8"
    assert not engines_in("latency<=5ms@onnxruntime")
    with pytest.raises(ConfigError, match="there is no function 'Engin'"):
        engines_in(f"latency<=5ms@{DEVICE}:Engin")


def test_every_engine_of_the_package_has_its_own_name() -> None:
    assert all(name == engine.name for name, engine in ENGINES.items())
    assert table.ENGINES is ENGINES
