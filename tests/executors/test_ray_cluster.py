"""What is refused before a cluster is looked for; the contract of executors tests the rest."""

import sys

import pytest

from gnnrl.errors import ConfigError
from gnnrl.executors.ray_cluster import RayExecutor


def test_a_missing_ray_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ConfigError, match=r"ray is not installed; run: .*pip install 'ray"):
        RayExecutor(address="auto")


@pytest.mark.parametrize("numbers", [{"workers": 0}, {"threads": 0}, {"gpus": -1.0}])
def test_numbers_out_of_range_are_refused(numbers: dict[str, float]) -> None:
    pytest.importorskip("ray")

    with pytest.raises(ConfigError, match="at least 1"):
        RayExecutor(address="auto", **numbers)
