"""Concatenations: of concatenations, added ones, along other dimensions, with constants and with the input."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.topologies import Head, Module, conv, images
from tests.toys.cases import Inputs, toy


def makers(**widths: int) -> dict[str, nn.Module]:
    """Convolutions of the image by name."""
    return {name: nn.Conv2d(3, width, 3, padding=1) for name, width in widths.items()}


@toy("ModelOpt ConcatModel1 and 12, TinyNeuralNetwork batch_cat, cat_with_default_dim", groups=1)
def side_by_side_in_the_batch() -> tuple[nn.Module, Any]:
    """Two layers behind each other along the batch dimension."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.c(torch.cat([m.a(x), m.b(x)])).mean()

    return Module(run, **makers(a=8, b=8), c=nn.Conv2d(8, 5, 3)), images()


@toy("TinyNeuralNetwork batch_group_cat", groups=1)
def side_by_side_in_the_batch_in_groups() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.c(torch.cat([m.a(x), m.b(x)], 0)))

    return Module(run, **makers(a=16, b=16), c=nn.Conv2d(16, 8, 1, groups=4), head=Head(8)), images()


@toy("ModelOpt ConcatModel2, TinyNeuralNetwork loop_cat_graph", groups=1)
def one_tensor_three_times() -> tuple[nn.Module, Any]:
    """One tensor beside itself, also through an activation in place."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = m.a(x)
        return m.b(torch.cat(tensors=[x, x, F.relu_(x)], dim=1))

    return Module(run, **makers(a=4), b=nn.Conv2d(12, 8, 3)), images()


@toy("ModelOpt ConcatModel4, MMRazor AddCat", groups=3)
def two_concatenations_added() -> tuple[nn.Module, Any]:
    """Parts of two and six, added to parts of four and four: pieces of two, two and four go together."""

    def run(m: Any, x: Tensor) -> Tensor:
        first, second = torch.cat([m.a(x), m.b(x)], 1), torch.cat([m.c(x), m.d(x)], 1)
        return m.e(first + F.relu(second))

    return Module(run, **makers(a=2, b=6, c=4, d=4), e=nn.Conv2d(8, 8, 3)), images()


@toy("ModelOpt ConcatModel5, MMRazor MultiConcat2, Torch-Pruning cascaded_concat", groups=4)
def a_concatenation_in_another() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        inner = torch.cat([m.a(x), m.b(x), m.c(x)], 1)
        return m.e(torch.cat([m.d(x), inner], 1))

    return Module(run, **makers(a=4, b=3, c=5, d=6), e=nn.Conv2d(18, 8, 3)), images()


@toy("MMRazor MultiConcat1, Icep; Torch-Pruning concat", groups=8)
def concatenations_in_a_row() -> tuple[nn.Module, Any]:
    """Inception blocks: what one concatenates, all branches of the next one read."""

    class Branches(nn.Module):
        def __init__(self, inputs: int) -> None:
            super().__init__()
            self.branches = nn.ModuleList(nn.Conv2d(inputs, n, k, padding=k // 2) for n, k in ((3, 1), (4, 3), (5, 5)))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([branch(x) for branch in self.branches], 1)

    def run(m: Any, x: Tensor) -> Tensor:
        y = m.b(m.a(x))
        return m.head(torch.cat([m.c(y), m.d(x)], 1))

    inner = {"a": Branches(3), "b": Branches(12), "c": conv(12, 6, 1), "d": conv(3, 4)}
    return Module(run, **inner, head=Head(10)), images()


@toy("ModelOpt ConcatModel6, 9 and 10; TinyNeuralNetwork multi_cat_graph", groups=3)
def one_part_of_two_concatenations() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        first = torch.cat([m.a(x), m.b(x)], 1)
        second = torch.cat([m.c(x), F.relu(m.a(x))], -3)
        return m.d(first) + m.e(second)

    return Module(run, **makers(a=4, b=6, c=5), d=nn.Conv2d(10, 4, 3), e=nn.Conv2d(9, 4, 3)), images()


@toy("ModelOpt ConcatModel7", groups=1)
def parts_that_are_tied() -> tuple[nn.Module, Any]:
    """Three layers are added, two of them stand side by side as well."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b, c = m.a(x), m.b(x), m.c(x)
        return m.d(a + b + c) + m.e(torch.cat([b, c], 1))

    return Module(run, **makers(a=4, b=4, c=4), d=nn.Conv2d(4, 4, 3), e=nn.Conv2d(8, 4, 3)), images()


@toy("ModelOpt ConcatModel8", groups=2)
def the_same_concatenation_twice() -> tuple[nn.Module, Any]:
    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.a(x), m.b(x)
        return m.c(torch.cat([a, b], 1)) + m.d(torch.cat([a, b], 1))

    return Module(run, **makers(a=4, b=6), c=nn.Conv2d(10, 4, 3), d=nn.Conv2d(10, 4, 3)), images()


@toy("ModelOpt ConcatModel11", groups=1)
def beside_constants_and_the_input() -> tuple[nn.Module, Any]:
    """A free part, one tied to the input, a residual one and ones of the input's shape."""

    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x)
        parts = [a, m.b(x) + x, a + m.c(a), torch.ones_like(x)]
        return m.d(torch.cat(parts, 1))

    return Module(run, **makers(a=5, b=3), c=nn.Conv2d(5, 5, 1), d=nn.Conv2d(16, 2, 3)), images()


@toy("ModelOpt MeanConcatModel", groups=3)
def means_over_different_dimensions() -> tuple[nn.Module, Any]:
    """Rows of one layer beside columns of another."""

    def run(m: Any, x: Tensor) -> Tensor:
        both = torch.cat([m.a(x).mean(dim=(2,)), torch.mean(m.b(x), 3)], dim=1)
        return m.d(m.c(both))

    layers = {"c": nn.Conv1d(9, 8, 3, padding=1), "d": nn.Conv1d(8, 1, 3)}
    return Module(run, **makers(a=4, b=5), **layers), images()


@toy("ModelOpt MeanModel2", groups=0)
def means_over_channels() -> tuple[nn.Module, Any]:
    """A mean over all channels knows their number."""

    def run(m: Any, x: Tensor) -> Tensor:
        a = m.a(x).mean(dim=(1, 2, 3), keepdim=True)
        return m.c(a + torch.mean(m.b(x), dim=(-1, -2, -3), keepdim=True))

    return Module(run, **makers(a=4, b=4), c=nn.Conv2d(1, 2, 1)), images()


@toy("Torch-Pruning non_feature_dim_cat", groups=3)
def rows_below_rows_and_apart_again() -> tuple[nn.Module, Any]:
    """Two images one below the other, one layer, and the first of them again."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.a(x), m.b(x)
        y = m.c(torch.cat([a, b], 2))
        a, b = torch.split(y, [a.shape[2], b.shape[2]], 2)
        return m.d(a)

    branches = {name: nn.Sequential(conv(3, n), conv(n, 6)) for name, n in (("a", 5), ("b", 4))}
    return Module(run, **branches, c=nn.Conv2d(6, 7, 1), d=nn.Conv2d(7, 3, 1)), images()


@toy("Torch-Pruning concat (wide and deep)", groups=2)
def wide_and_deep() -> tuple[nn.Module, Any]:
    """A single output beside three from the input itself."""

    def run(m: Any, x: Tensor) -> Tensor:
        x = x.reshape(x.shape[0], -1)
        return torch.sigmoid(m.last(torch.concat([m.wide(x), m.deep(x)], dim=-1)))

    deep = [
        nn.Linear(12, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(8, 6),
        nn.ReLU(),
        nn.Linear(6, 1),
    ]
    return Module(run, wide=nn.Linear(12, 3), deep=nn.Sequential(*deep), last=nn.Linear(4, 1)), torch.randn(2, 3, 4)


@toy("Torch-Pruning multiple_inputs_and_outputs", groups=0)
def outputs_that_are_parts() -> tuple[nn.Module, Any]:
    """Two inputs; what is concatenated is given out as well."""

    def run(m: Any, first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
        a, b = F.relu(m.a(first)), F.relu(m.b(second))
        return a, b, F.relu(m.c(torch.cat([a, b], dim=1)))

    layers = {"a": nn.Linear(6, 4), "b": nn.Linear(5, 3), "c": nn.Linear(7, 9)}
    return Inputs(run, **layers), {"first": torch.randn(2, 6), "second": torch.randn(2, 5)}


@toy("TinyNeuralNetwork group_cat_graph", groups=2)
def a_concatenation_read_in_groups() -> tuple[nn.Module, Any]:
    """The borders of the groups are not those of the parts."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.d(m.c(torch.cat([m.a(x), m.b(x)], 1)))

    return Module(run, **makers(a=8, b=16), c=nn.Conv2d(24, 12, 3, groups=4), d=nn.Conv2d(12, 4, 1)), images()


@toy("TinyNeuralNetwork add_cat_group_graph", groups=2)
def grouped_sums_in_a_concatenation() -> tuple[nn.Module, Any]:
    """A sum of layers in two and in four groups beside one in eight."""

    def run(m: Any, x: Tensor) -> Tensor:
        a, b = m.a(x), m.b(x)
        return m.last(torch.cat([m.two(a) + m.four(a), m.eight(b)], 1))

    grouped = {name: nn.Conv2d(16, 32, 3, groups=n) for name, n in (("two", 2), ("four", 4), ("eight", 8))}
    return Module(run, **makers(a=16, b=16), **grouped, last=nn.Conv2d(64, 4, 3)), images()


@toy("MMRazor MultipleUse", groups=3)
def one_layer_four_times() -> tuple[nn.Module, Any]:
    """One layer reads three others; its results stand side by side."""

    def run(m: Any, x: Tensor) -> Tensor:
        return m.head(m.last(torch.cat([m.shared(layer(x)) for layer in (m.a, m.b, m.c)], 1)))

    return Module(run, **makers(a=6, b=6, c=6), shared=conv(6, 5), last=conv(15, 8), head=Head(8)), images()
