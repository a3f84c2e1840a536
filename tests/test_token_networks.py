"""Both laws on random networks over tokens: norms by hand, rotary heads, shared keys, registers, queries, experts."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.token_networks import check_laws


@example(seed=0)
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000))
def test_laws_hold_on_random_networks_over_tokens(seed: int) -> None:
    blocks, floor = check_laws(seed)  # asserts both laws

    assert blocks
    assert 0 < floor <= 1
