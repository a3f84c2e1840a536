"""Lines of the user's code, found among frames of torch and of gnnrl."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

import gnnrl
from gnnrl.modules.locations import last_user_line, user_location

TORCH, PACKAGE = Path(torch.__file__).parent, Path(gnnrl.__file__).parent


def stack(*files: Path | str) -> str:
    """A printed stack with a frame in each file, at lines 1, 2, ..."""
    return "".join(f'  File "{file}", line {number}, in forward\n' for number, file in enumerate(files, 1))


@pytest.mark.parametrize("library", [TORCH / "nn" / "functional.py", PACKAGE / "network" / "tracing" / "calls.py"])
def test_the_last_line_of_a_stack_that_is_not_a_librarys_is_the_users(library: Path) -> None:
    assert last_user_line(stack("/home/me/net.py", "/home/me/block.py", library)) == "/home/me/block.py:2"


def test_networks_of_the_zoo_count_as_the_users() -> None:
    zoo = PACKAGE / "zoo" / "networks.py"

    assert last_user_line(stack(PACKAGE / "network" / "structure.py", zoo, TORCH / "_ops.py")) == f"{zoo}:2"


def test_a_stack_without_lines_of_the_user_ends_in_its_last_frame() -> None:
    assert last_user_line(stack(TORCH / "_ops.py", TORCH / "_tensor.py")) == f"{TORCH / '_tensor.py'}:2"
    assert last_user_line("no stack at all") == ""
    assert last_user_line(stack(TORCH / "_ops.py", PACKAGE / "modules" / "attention.py")) == f"{TORCH / '_ops.py'}:1"
    assert last_user_line(stack(PACKAGE / "modules" / "attention.py")) == ""


class Mismatched(nn.Module):
    def forward(self, x):
        return nn.functional.linear(x, torch.ones(2, 3))


@pytest.mark.parametrize("room", ["network", "pruning", "scoring"])
def test_an_error_is_located_in_the_users_code(room: str) -> None:
    """The network is called from a file of gnnrl, and its own code calls torch, which raises the error."""
    called = compile("model(x)", str(PACKAGE / room / "somewhere.py"), "exec")
    with pytest.raises(RuntimeError) as caught:
        exec(called, {"model": Mismatched(), "x": torch.ones(1, 4)})

    line = inspect.getsourcelines(Mismatched.forward)[1] + 1
    assert user_location(caught.value) == f"{__file__}:{line}"


def test_an_error_inside_gnnrl_has_no_line_of_the_user() -> None:
    try:
        exec(compile("1 / 0", str(PACKAGE / "network" / "cost.py"), "exec"))
    except ZeroDivisionError as error:
        without_this_file = error.with_traceback(error.__traceback__.tb_next)  # type: ignore[union-attr]

    assert user_location(without_this_file) == ""
