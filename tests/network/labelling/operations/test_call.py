import numpy as np
import torch
from torch import Tensor, fx, nn

from gnnrl.network.cost import measure
from gnnrl.network.labelling.operations.call import Tensors, operation_name, passed, vector
from gnnrl.network.labels import LabelSpace, Value
from gnnrl.network.reasons import Kind
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.counting import count_macs


def tensors() -> Tensors:
    return Tensors({"weight": (4, 3, 1)}, LabelSpace())


def test_every_use_of_a_parameter_has_the_same_labels() -> None:
    found = tensors()
    (outputs, inputs), (again,) = (found.value("weight", dims).components for dims in ((0, 1), (-3,)))

    assert outputs.shape == again.shape == (4, 1, 1)
    assert inputs.shape == (1, 3, 1)
    assert np.array_equal(outputs, again)


def test_a_dimension_of_size_one_has_no_labels() -> None:
    assert tensors().value("weight", (2,)).components == ()


def test_what_may_shrink_in_one_use_alone_is_frozen() -> None:
    found = tensors()
    found.value("weight", (0, 1))
    found.value("weight", (0,))
    found.freeze_disagreements()
    reasons = found.space.reasons(found.space.units())

    assert sorted(reasons) == sorted(found.space.units()[found.labels["weight", 1]].tolist())
    assert {(reason.kind, reason.detail) for each in reasons.values() for reason in each} == {
        (Kind.SEVERAL_USES, "weight")
    }


def test_labels_become_channels_along_one_dimension_and_stay_in_another_size() -> None:
    value = vector(np.arange(4), -2, (2, 4, 5))

    assert [component.shape for component in value.components] == [(1, 4, 1)]
    assert passed(value, (2, 4, 9)) == Value((2, 4, 9), value.components)
    assert vector(None, -2, (2, 4, 5)).components == vector(np.arange(1), 1, (2, 1)).components == ()


def test_an_operation_is_named_without_namespace_and_overload() -> None:
    node = fx.Graph().call_function(torch.ops.aten.conv2d.default)

    assert operation_name(node) == "conv2d"
    assert operation_name(fx.Graph().call_function(len)) == "len"


class Spoken(nn.Module):
    """Makes a spectrum, and a sound of it; the inverse of a transform checks its window by values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.spectrum, self.head = nn.Linear(6, 12), nn.Linear(12, 40), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.view_as_complex(self.spectrum(self.first(x).relu()).view(-1, 5, 4, 2))
        return self.head(torch.istft(spectrum, 8, hop_length=2, window=torch.ones(8)))


def test_an_operation_that_looks_at_values_is_counted_without_running() -> None:
    model, x = Spoken().eval(), torch.randn(2, 6)
    network = trace(model, x)

    assert [group.name for group in network.groups] == ["first"]
    assert measure(network).macs == count_macs(model, x) // 2
