"""A result: printed, saved, loaded and exported."""

from typing import Any

import pytest
import torch

import gnnrl
from gnnrl.errors import ConfigError
from tests.compression.tiny import compressed
from tests.topologies import images, topology


def test_a_result_prints_itself_in_three_lines() -> None:
    result = compressed(episodes=2)
    sizes, scores, search = str(result).splitlines()
    assert sizes.startswith("Sequential at MACs\xa0≤\xa050%: met by ")
    assert f"; {result.cost['pruned'].macs:,} of {result.cost['dense'].macs:,} MACs (" in sizes
    assert scores.startswith("score: dense ")
    assert search.startswith(f"curves judged {len(result.history)} plan")


def test_a_result_is_saved_and_loaded(tmp_path: Any) -> None:
    result = compressed()
    result.save(tmp_path / "out")

    loaded = gnnrl.load(topology("residual").model, tmp_path / "out").eval()

    x = images(batch=4)
    with torch.no_grad():
        assert torch.equal(loaded(x), result.model(x))
    with pytest.raises(ConfigError, match="not empty"):
        result.save(tmp_path / "out")


def test_a_result_is_exported_by_the_suffix_of_the_file(tmp_path: Any) -> None:
    model = topology("residual").model
    result = compressed(model=model)

    assert result.export(tmp_path / "small.pt2", images()).dynamic_batch
    assert [path.name for path in result.export(tmp_path / "narrow.py", dense=model).files] == [
        "narrow.py",
        "narrow.pt",
    ]
