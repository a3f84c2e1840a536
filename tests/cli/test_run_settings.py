"""Settings of a run: what is written, and what is taken from the command line alone."""

import json
from pathlib import Path

from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job
from gnnrl.cli.run_settings import naming, read_job, written
from gnnrl.cli.runs import Found
from gnnrl.cli.width_rules import Widths
from gnnrl.storage.formats import SEARCH


def test_where_plans_are_judged_is_named_by_the_command_line_alone(tmp_path: Path) -> None:
    source = Source(model="digits-resnet", pretrained=True)
    job = Job(
        source=source, data="digits", constraint="macs<=50%", out=tmp_path, executor="ray", workers=3, address="a:1"
    )
    settings = {"search": SEARCH, **json.loads(json.dumps(written(job)))}
    nothing = dict.fromkeys(("model", "searcher", "weights", "data"))

    assert not {"executor", "workers", "address"} & set(settings["options"])
    assert naming(job) == ["--executor", "ray", "--workers", "3", "--address", "a:1"]
    foreign = {**settings, "options": {**settings["options"], "executor": "ray", "address": "evil:1"}}
    assert (read_job(Found(tmp_path, foreign, False), nothing)).address is None
    assert read_job(Found(tmp_path, settings, False), {**nothing, "executor": "process", "workers": 2}).workers == 2


def test_a_job_is_read_back_as_it_was_written() -> None:
    job = Job(
        source=Source(model="digits-resnet", pretrained=True, mean="0.5"),
        data="digits",
        out=Path("small"),
        widths=Widths(round_to="4", keep=("layer1",), bounds=("layer2=2:8",)),
        ema=0.9,
    )
    settings = {"search": SEARCH, **json.loads(json.dumps(written(job)))}
    nothing = dict.fromkeys(("model", "searcher", "weights", "data"))

    assert read_job(Found(Path("small"), settings, is_finished=False), nothing) == job
