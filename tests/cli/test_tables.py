"""Tables of results, whatever the size of the network."""

import pytest
from rich.console import Console

from gnnrl.cli import tables

pytestmark = pytest.mark.usefixtures("folder")


def test_tables_of_large_networks_stay_within_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {
        "model": "torchvision:vgg19",
        "constraint": "macs<=50%,params<=80M",
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
        "layers": [{"name": f"layers.{n}.block.conv1", "dense": 512, "pruned": 512 - 5 * n} for n in range(60)],
        "verified_difference": None,
        "out": "small",
        "seconds": 3600.0,
    }
    tables.show_result(Console(width=80), facts, [["gnnrl", "evaluate", "a folder"]])
    shown = capsys.readouterr().out
    assert "Fine-tuning lost" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "19,632 M" in shown
    assert "and 20 layers that lose less" in shown
    assert "'a folder'" in shown
    facts["score"] = {"dense": 0.8, "repaired": 0.7, "finetuned": 0.68}
    tables.show_result(Console(width=80), facts, [])
    shown = capsys.readouterr().out
    assert "Fine-tuning lost 2.0 points: use a smaller --learning-rate" in shown
    assert max(map(len, shown.splitlines())) <= 80
