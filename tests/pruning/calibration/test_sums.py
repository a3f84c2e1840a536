"""Sums over parts are those over the whole."""

import pytest
import torch

from gnnrl.pruning.calibration.records import energy
from gnnrl.pruning.calibration.sums import Products, Statistics, Totals

ROWS = 100 + torch.randn(50, 4)
PARTS = ROWS[:7], ROWS[7:30], ROWS[30:]


def test_totals_know_energy_and_deviation() -> None:
    totals = Totals()
    for part in PARTS:
        totals.add(part)

    assert totals.energy() == pytest.approx(energy(ROWS), rel=1e-5)
    assert totals.energy(centred=True) == pytest.approx(energy(ROWS, centred=True), rel=1e-4)
    torch.testing.assert_close(totals.deviation().float(), ROWS.std(0), rtol=1e-4, atol=0)


def test_products_know_the_covariance_of_numbers_with_a_large_mean() -> None:
    products = Products()
    for part in PARTS:
        products.add(part)
    exact = torch.cov(ROWS.double().T, correction=0).float()

    torch.testing.assert_close(products.moments().mean, ROWS.mean(0))
    torch.testing.assert_close(products.moments().covariance, exact, rtol=1e-4, atol=1e-5)


def test_statistics_of_parts_are_merged() -> None:
    images = torch.randn(20, 3, 4, 4) + torch.arange(20.0)[:, None, None, None]
    found = Statistics.merged([Statistics.of(part) for part in (images[:3], images[3:8], images[8:])])

    torch.testing.assert_close(found.mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(found.variance, images.var((0, 2, 3), correction=0))
    assert found.count == 20 * 16
