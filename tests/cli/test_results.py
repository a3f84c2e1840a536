"""What can be done with a result: commands that name code again, and nothing else that the result knows."""

from pathlib import Path

import pytest

from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.results import next_commands


@pytest.mark.parametrize(
    ("source", "data", "named"),
    [
        (Source(model="digits-resnet", pretrained=True), "images", []),
        (Source(model="net.py:make", input_shape="1,3,8,8", mean="0.5"), "images", ["--model", "net.py:make"]),
        (Source(model="digits-resnet"), "own.py:data", ["--data", "own.py:data"]),
    ],
)
def test_next_commands_name_code_alone(source: Source, data: str, named: list[str]) -> None:
    evaluate, export, report = next_commands(Job(source=source, data=data, out=Path("out/small")))

    assert evaluate == ["gnnrl", "evaluate", "out/small", *named]
    assert export == ["gnnrl", "export", "out/small", *(named if "--model" in named else []), "--out", "small.onnx"]
    assert report == ["gnnrl", "report", "out/small"]
