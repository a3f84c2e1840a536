"""Settings of a run: what is written, and what is taken from the command line alone."""

import json
from pathlib import Path

from gnnrl.cli.inputs import Source
from gnnrl.cli.jobs import Job, Place
from gnnrl.cli.run_settings import Again, read_job, to_be_given, written
from gnnrl.cli.runs import Found
from gnnrl.cli.width_rules import Widths
from gnnrl.storage.formats import SEARCH


def test_where_plans_are_judged_is_named_by_the_command_line_alone(tmp_path: Path) -> None:
    source = Source(model="digits-resnet", pretrained=True)
    place = Place(executor="ray", workers=3, address="a:1")
    job = Job(source=source, data="digits", constraint="macs<=50%", out=tmp_path, place=place)
    settings = {"search": SEARCH, **json.loads(json.dumps(written(job)))}

    assert not {"place", "executor", "workers", "address"} & set(settings["options"])
    assert to_be_given(job) == ["--executor", "ray", "--workers", "3", "--address", "a:1"]
    foreign = {**settings, "options": {**settings["options"], "executor": "ray", "address": "evil:1"}}
    hidden = {**settings, "options": {**settings["options"], "place": {"executor": "ray", "address": "evil:1"}}}
    for options in (foreign, hidden):
        assert read_job(Found(tmp_path, options, False), Again()).place == Place()
    two = Place(executor="process", workers=2)
    assert read_job(Found(tmp_path, settings, False), Again(), two).place == two


def test_a_job_is_read_back_as_it_was_written() -> None:
    job = Job(
        source=Source(model="digits-resnet", pretrained=True, mean="0.5"),
        data="digits",
        out=Path("small"),
        widths=Widths(round_to="4", keep=("layer1",), bounds=("layer2=2:8",)),
        ema=0.9,
    )
    settings = {"search": SEARCH, **json.loads(json.dumps(written(job)))}

    assert read_job(Found(Path("small"), settings, is_finished=False), Again()) == job
