"""The peak of activations, against a run of the exported program that really counts the living storages."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from gnnrl.network.cost import measure
from gnnrl.network.structure import Network
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import as_arguments, exported, trace
from gnnrl.pruning.plan import Plan
from gnnrl.pruning.projection import Projection
from gnnrl.pruning.rules import WidthRules
from tests.topologies import traced

NAMES = (
    *("chain", "residual", "depthwise", "dense_block", "attention", "masked_heads", "einsum_attention", "recurrent"),
    *("unet", "windows", "stacked_branches", "layer_scale", "maxout", "class_token"),
)


class Counting(fx.Interpreter):
    """Runs a program, lets go of every result after its last reader, and weighs what is left after each operation."""

    def __init__(self, module: fx.GraphModule, foreign: set[int]) -> None:
        super().__init__(module, garbage_collect_values=True)
        self.foreign, self.most = foreign, 0

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "placeholder" and isinstance(result, Tensor):
            self.foreign.add(result.untyped_storage().data_ptr())
        if n.op in ("call_function", "call_module"):
            values = [result, *self.env.values()]
            tensors = [t for value in values for t in (value if isinstance(value, list | tuple) else [value])]
            held = [t.untyped_storage() for t in tensors if isinstance(t, Tensor)]
            alive = {storage.data_ptr(): storage.nbytes() for storage in held}
            self.most = max(self.most, sum(size for key, size in alive.items() if key not in self.foreign))
        return result


def weighed(model: nn.Module, example_inputs: Any) -> int:
    """Most bytes of living results during one run, for the whole batch."""
    args, kwargs = as_arguments(example_inputs)
    with torch.no_grad():
        program = exported(model.eval(), args, kwargs).module(check_guards=False)
        program.graph.eliminate_dead_code()
        foreign = {t.untyped_storage().data_ptr() for t in (*program.parameters(), *program.buffers())}
        counting = Counting(program, foreign)
        counting.run(*args, *kwargs.values())
    return counting.most


@pytest.mark.parametrize("name", NAMES)
def test_the_predicted_peak_is_what_lives_in_a_run(name: str) -> None:
    case = traced(name)
    narrow = Plan.of_widths(case.network, np.maximum(case.network.widths // 2, 1))
    kept = [np.arange(width) for width in narrow.widths]
    small = remove(case.model, case.network, kept)

    for model, widths in ((case.model, case.network.widths), (small, np.array(narrow.widths))):
        expected = weighed(model, case.example_inputs)
        assert measure(case.network, widths).activations == expected // case.network.batch_size


class Residual(nn.Module):
    """A wide result that lives across two narrow ones."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.end = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Any:
        stream = self.first(x)
        return self.end((stream + self.last(torch.relu_(self.inner(stream)))).flatten(2)[..., None])


def network_of(model: nn.Module) -> Network:
    return trace(model.eval(), torch.zeros(2, 3, 5, 5))


def test_the_peak_by_hand() -> None:
    """25 positions of 4 bytes: the stream (8), what `last` makes (8) and their sum (8) live at once; relu_ is free."""
    network = network_of(Residual())

    assert [group.size for group in network.groups] == [8, 4]
    assert measure(network).activations == 25 * 4 * (8 + 8 + 8)
    assert measure(network, [2, 4]).activations == 25 * 4 * (2 + 2 + 4)


def test_the_price_of_the_peak_is_that_of_what_lives_then() -> None:
    network = network_of(Residual())

    assert network.cost.price("activations", np.array([8, 4])).tolist() == [25 * 4 * 3, 0]
    assert network.cost.price("activations", np.array([[2, 4], [8, 4]])).tolist()[0] == [25 * 4 * 2, 25 * 4]


def test_a_limit_on_activations_is_met_and_used() -> None:
    case = traced("residual")
    projection = Projection.build(case.network, "activations<=60%", WidthRules(round_to=1))
    dense = measure(case.network).activations

    widths = projection.of_logits(np.zeros(len(case.network.groups)))

    assert 0.5 * dense < measure(case.network, widths).activations <= 0.6 * dense
