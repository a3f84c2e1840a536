"""Tables of results, whatever the size of the network."""

import pytest
from rich.console import Console

from gnnrl.cli import tables
from gnnrl.report.record import Record

pytestmark = pytest.mark.usefixtures("folder")


def test_tables_of_large_networks_stay_within_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    record = Record.model_validate(
        {
            "model": "torchvision:vgg19",
            "constraint": "macs<=50%,params<=80M",
            "searcher": "ppo",
            "metric": "top1",
            "limits": [
                {"limit": "macs<=50%", "allowed": 9_816_031_232, "dense": 19_632_062_464, "pruned": 9_816_031_232},
                {"limit": "params<=80,000,000", "allowed": 80_000_000, "dense": 143_667_240, "pruned": 71_833_620},
            ],
            "score": {"dense": 0.8, "pruned": 0.1, "repaired": 0.7, "finetuned": 0.79},
            "test_images": 50_000,
            "macs": {"dense": 19_632_062_464, "pruned": 9_816_031_232},
            "params": {"dense": 143_667_240, "pruned": 71_833_620},
            "file_bytes": {"dense": 574_668_960, "pruned": 287_334_480},
            "latency_ms": {"dense": 1234.5, "pruned": 617.2},
            "images_per_second": {"dense": 1.2, "pruned": 2.4},
            "threads": 64,
            "widths": [{"name": f"layers.{n}.block.conv1", "dense": 512, "pruned": 512 - 5 * n} for n in range(60)],
            "runs": (),
            "trials": (),
            "commands": [["gnnrl", "evaluate", "a folder"]],
        }
    )
    tables.show_result(Console(width=80), record, "small", 3600.0)
    shown = capsys.readouterr().out
    assert "Fine-tuning lost" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "19,632,062,464" in shown
    assert "and 20 layers that lose less" in shown
    assert "'a folder'" in shown
    worse = record.model_copy(update={"score": {"dense": 0.8, "repaired": 0.7, "finetuned": 0.68}})
    tables.show_result(Console(width=80), worse, "small", 3600.0)
    shown = capsys.readouterr().out
    assert "Fine-tuning lost 2.0 points: use a smaller --learning-rate" in shown
    assert max(map(len, shown.splitlines())) <= 80
