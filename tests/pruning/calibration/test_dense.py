from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import DataError
from gnnrl.pruning.calibration.dense import calibrate
from gnnrl.pruning.calibration.sampling import Sampler
from tests.topologies import fresh, images, topology, traced

EVERYTHING = Sampler(per_input=10**6, least=10**9, work=1e18)


def generator(count: int, size: int = 4) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(count):
        yield images(batch=size), torch.zeros(size, dtype=torch.long)


def test_images_are_read_until_there_are_enough() -> None:
    read = generator(100)
    record = calibrate(traced("chain").model, read, images=10)

    assert record.images == 10
    assert len(list(read)) == 97
    assert record.labels is not None
    assert len(record.labels) == 10


def test_a_short_loader_gives_what_it_has() -> None:
    assert calibrate(traced("chain").model, generator(2), images=500).images == 8


def test_a_generator_that_ran_dry_is_refused() -> None:
    data = generator(2)
    list(data)

    with pytest.raises(DataError, match="runs dry"):
        calibrate(traced("chain").model, data)


@pytest.mark.parametrize("batch", [["a", "b"], [{"x": 1}], ["text"]])
def test_batches_that_are_no_tensors_are_refused(batch: list[object]) -> None:
    with pytest.raises(DataError, match="must be tensors"):
        calibrate(traced("chain").model, [batch])


def test_batches_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="differ in their number"):
        calibrate(traced("chain").model, [images(), (images(), torch.zeros(2))])


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([images(batch=1)], "at least 2 images"),
        ([images(size=8), images(size=6)], "same shape"),
        ([(images(batch=4), torch.zeros(3))], "different numbers of samples"),
        ([torch.tensor(1.0)], "different numbers of samples"),
        ([images(channels=5)], r"cannot take .*\[2, 5, 8, 8\]"),
        ([torch.zeros(4, 3, 8, 8, dtype=torch.int64)], "cannot take .*int64"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_their_shapes(batches: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calibrate(traced("chain").model, batches)


def test_more_inputs_than_the_network_was_traced_with_are_refused() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return self.linear(x if y is None else x + y)

    x, labels = torch.randn(8, 4), torch.zeros(8)
    assert calibrate(Optional(), [(x, labels)], example_inputs=x).labels is not None
    assert len(calibrate(Optional(), [(x, x, labels)], example_inputs=(x, x)).inputs) == 2

    with pytest.raises(
        DataError, match=r"2 inputs and labels, but the network was traced with 1: give batches \(x, y\)"
    ):
        calibrate(Optional(), [(x, x, labels)], example_inputs=x)


def test_labels_are_optional_until_they_are_needed() -> None:
    record = calibrate(traced("chain").model, [images(batch=4)])

    assert record.labels is None
    with pytest.raises(DataError, match="no labels"):
        record.batches()
    assert [len(x) for x, _ in calibrate(traced("chain").model, generator(3)).batches(5)] == [5, 5, 2]


def test_several_inputs_come_before_the_label() -> None:
    case = traced("two_inputs")
    x, y = images(batch=4), torch.randn(4, 4)
    without = calibrate(case.model, [(x, y)])
    labelled = calibrate(case.model, [(x, y, torch.zeros(4))])

    assert len(without.inputs) == len(labelled.inputs) == 2
    assert without.labels is None
    assert labelled.labels is not None
    assert [len(batch) for batch in labelled.batches(3)] == [3, 3]


def test_the_network_is_as_it_was() -> None:
    case = topology("bottleneck")
    model, twin = case.model.train(), fresh(case)
    calibrate(model, generator(2))

    assert model.training
    assert all(module.training for module in model.modules())
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b)


class Flat(nn.Module):
    """Reads its features by a view that channels-last images do not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.linear = nn.Linear(8 * 36, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).relu()
        return self.linear(y.view(x.shape[0], -1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_networks_that_view_their_features_are_calibrated(layout: torch.memory_format) -> None:
    images = torch.randn(40, 3, 8, 8).contiguous(memory_format=layout)

    record = calibrate(Flat().eval(), [images])

    assert len(record.layers) == 2
    assert record.inputs[0].is_contiguous()
