import pytest

from gnnrl.training.sharing import part


@pytest.mark.parametrize("count", range(1, 40))
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_the_batch_and_nobody_has_a_single_sample(count: int, size: int) -> None:
    samples, sizes = list(range(count)), []
    seen: list[int] = []
    for rank in range(size):
        where, own = part(count, rank, size)
        seen += samples[where] if own else []
        sizes.append(own)
        assert own == (len(samples[where]) if own else 0)
    busy = [own for own in sizes if own]
    assert seen == samples
    assert count == 1 or min(busy) >= 2
    assert max(busy) - min(busy) <= 1
