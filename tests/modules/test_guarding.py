"""Errors of the user's code, and of gnnrl itself, are the cause of an error of gnnrl's own."""

import re

import pytest
import torch

from gnnrl.errors import ConfigError, GnnrlError, ResourceError, TraceError
from gnnrl.modules.guarding import own_errors


@own_errors("the work", TraceError)
def raising(error: Exception) -> None:
    raise error


def test_a_foreign_error_is_the_cause_of_an_error_with_its_line() -> None:
    fault = KeyError("layer")

    with pytest.raises(TraceError, match=r"because of .*\.py:\d+: KeyError: 'layer'") as seen:
        raising(fault)
    assert seen.value.__cause__ is fault


def test_own_errors_pass_as_they_are() -> None:
    with pytest.raises(ConfigError, match=r"^wrong$"):
        raising(ConfigError("wrong"))


def test_short_memory_is_said() -> None:
    with pytest.raises(ResourceError, match="the work needs more memory"):
        raising(MemoryError())


def test_an_error_without_a_line_of_the_user_is_a_bug_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnrl.modules.guarding.user_location", lambda error: "")

    with pytest.raises(GnnrlError, match=re.escape("please report it")):
        raising(RuntimeError("odd"))


def test_interruptions_are_not_errors() -> None:
    with pytest.raises(KeyboardInterrupt), own_errors("the work"):
        raise KeyboardInterrupt


def test_the_context_is_left_as_it_was() -> None:
    with pytest.raises(TraceError), torch.no_grad():
        raising(ValueError())
    assert torch.is_grad_enabled()
