"""What the code of modules reads, assigns and compares."""

import inspect

import pytest
from torch import Tensor, nn

from gnnrl.network.tracing.user_code import assignment, comparison, names_read_in_forward, reads_mode


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = None

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[0] == 1 else -x


class Odd(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        before = super().forward(x)
        return x if x.size(0) != before.size(0) and not self.training else -x


@pytest.mark.parametrize(
    ("model", "found"), [(Plain(), False), (nn.Sequential(Plain(), Odd()), True), (nn.ReLU(), False)]
)
def test_the_mode_is_read(model: nn.Module, found: bool) -> None:
    assert reads_mode(model) == found


def test_assignments_outside_the_constructor_have_a_line() -> None:
    line = inspect.getsourcelines(Odd.forward)[1] + 1

    assert assignment(Odd, "last") == f"{__file__}:{line}"
    assert assignment(Plain, "last") == ""


def test_comparisons_of_several_shapes_have_a_module_and_a_line() -> None:
    line = inspect.getsourcelines(Odd.forward)[1] + 3

    assert comparison(nn.Sequential(Plain(), nn.Sequential(Odd()))) == ("1.0", f"{__file__}:{line}")
    assert comparison(nn.Sequential(Plain())) == ("", "")


def test_forward_reads_names_in_the_methods_that_it_calls() -> None:
    class Calling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.scaled(x) + sum(self.inner for _ in range(2))

        def scaled(self, x: Tensor) -> Tensor:
            return x * self.scale

        def fused(self) -> int:
            return int(self.other)

    read = names_read_in_forward(nn.Sequential(Calling()))

    assert read >= {"scaled", "scale", "inner"}
    assert "other" not in read
