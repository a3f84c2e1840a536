"""What can be done with a result: commands that name the network as the job did."""

from pathlib import Path

import pytest

from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.results import next_commands


@pytest.mark.parametrize(
    ("source", "judged", "exported"),
    [
        (Source(model="digits-resnet", pretrained=True), [], []),
        (
            Source(model="net.py:make", input_shape="1,3,8,8"),
            ["--input-shape", "1,3,8,8"],
            ["--input-shape", "1,3,8,8"],
        ),
        (Source(model="net.py:make", mean="0.5", std="0.2"), ["--mean", "0.5", "--std", "0.2"], ["--mean", "0.5"]),
    ],
)
def test_next_commands_name_the_network_as_the_job_did(source: Source, judged: list[str], exported: list[str]) -> None:
    evaluate, export, report = next_commands(Job(source=source, data="images", out=Path("out/small")))

    assert evaluate == ["gnnrl", "evaluate", "out/small", "--model", source.model, *judged, "--data", "images"]
    assert export == ["gnnrl", "export", "out/small", "--model", source.model, *exported, "--out", "small.onnx"]
    assert report == ["gnnrl", "report", "out/small"]
