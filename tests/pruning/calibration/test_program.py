"""Forward passes that begin in the middle."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnrl.pruning.calibration.kept import Kept
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.program import Diverged, Forms, Program, Resumed
from gnnrl.pruning.calibration.watch import Observer, Watch

A, B = torch.randn(6, 6), torch.randn(6, 6)
Network = Callable[[Tensor], Any]


def plain(x: Tensor) -> Tensor:
    return F.linear(F.linear(x.clone(), A).relu(), B).sin()


def shortcut(x: Tensor) -> Tensor:
    x = x.clone()
    return x + F.linear(F.linear(x, A).relu_(), B)


def in_place(x: Tensor) -> Tensor:
    x = x.clone().mul_(2)
    y = F.linear(x, A)
    y += x
    x.add_(1)
    return F.linear(y, B) + x


def views(x: Tensor) -> Tensor:
    first, second = F.linear(x.clone(), A).chunk(2, 1)
    first.sigmoid_()
    return F.linear(torch.cat([second, first], 1), B) * first.repeat(1, 2)


def filled(x: Tensor) -> Tensor:
    """Write to a tensor that does not depend on the inputs."""
    y = torch.zeros(len(x), 6)
    y[:, :3] = F.linear(x.clone(), A)[:, 3:]
    return F.linear(y, B) + y


def numbers(x: Tensor) -> Tensor:
    """Use numbers that are computed of the inputs."""
    y = F.linear(x.clone(), A)
    largest = y.abs().max().item()
    return F.linear(y / largest, B) * largest


def several(x: Tensor) -> Tensor:
    values, index = F.linear(x.clone(), A).max(1, keepdim=True)
    return F.linear(x.clone(), B) * values + index


def run(network: Network, mode: Any, x: Tensor, layer: Callable[[LayerCall], None]) -> Any:
    def seen(call: LayerCall) -> Tensor:
        layer(call)
        return call.run()

    observer = Observer(seen, lambda norm, _: normalise(norm["input"], norm), lambda *_: None)
    with torch.no_grad(), mode, Watch(observer):
        return network(x)


def learned(network: Network, x: Tensor) -> Program:
    program = Program([x])
    run(network, program, x, lambda call: program.enter(call.order))
    program.close()
    return program


@pytest.mark.parametrize("network", [plain, shortcut, in_place, views, filled, numbers, several])
def test_a_resumed_pass_ends_as_an_unbroken_one(network: Network) -> None:
    program, x = learned(network, torch.randn(2, 6)), torch.randn(5, 6)
    kept, forms = Kept(), dict[int, Forms]()
    first = Resumed(program, 0, None, forms, kept)
    run(network, first, x, lambda call: first.keep(1) if call.order == 1 else None)

    found = run(network, Resumed(program, 0, 1, forms, kept), torch.full_like(x, torch.nan), lambda call: None)

    assert torch.equal(found, network(x))
    kept.close()


def test_only_what_is_read_later_is_needed() -> None:
    program = learned(shortcut, torch.randn(2, 6))

    assert len(program.needed(0)) == 1  # x
    assert len(program.needed(1)) == 2  # x, and the inputs of the second layer
    assert [program.bytes[number] for number in program.needed(1)] == [2 * 6 * 4] * 2


def test_what_was_written_to_since_is_another_version() -> None:
    program = learned(in_place, torch.randn(2, 6))
    (x,) = program.needed(0)

    assert (program.version(x, 0), program.version(x, 1)) == (1, 2)


def test_other_operations_are_refused() -> None:
    program, kept = learned(plain, torch.randn(2, 6)), Kept()

    with pytest.raises(Diverged):
        run(shortcut, Resumed(program, 0, None, {}, kept), torch.randn(2, 6), lambda call: None)
    kept.close()
