import pytest

from gnnrl.training import rate_at


def test_one_cycle_climbs_and_falls_while_cosine_only_falls() -> None:
    one_cycle = [rate_at(i / 100, 1.0, "one-cycle") for i in range(101)]
    assert one_cycle[0] == pytest.approx(1 / 25)
    assert max(one_cycle) == one_cycle[30] == 1.0
    assert one_cycle[100] == pytest.approx(0)
    cosine = [rate_at(i / 100, 1.0, "cosine") for i in range(101)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] == 1.0
    assert cosine[50] == pytest.approx(0.5)
