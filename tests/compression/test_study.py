"""What is known of a network before a limit, computed once."""

import pytest

from gnnrl.compression import evidence, study
from tests.compression.tiny import swept


def test_network_and_data_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for home, name in ((study, "trace"), (evidence, "calibrate"), (evidence, "error_curves")):
        original = getattr(home, name)
        monkeypatch.setattr(home, name, lambda *a, _f=original, _n=name, **k: (calls.append(_n), _f(*a, **k))[1])

    swept()

    assert calls == ["trace", "calibrate", "error_curves"]
