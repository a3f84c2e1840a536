"""Modules under their previous names."""

import importlib
import sys

import pytest

import gnnrl


@pytest.mark.parametrize("name", sorted(gnnrl._MOVED))
def test_a_previous_name_still_imports_with_a_warning(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, known)

    with pytest.warns(DeprecationWarning, match=f"{name} is called {gnnrl._MOVED[name]} now"):
        found = importlib.import_module(name)

    assert found is importlib.import_module(gnnrl._MOVED[name])


def test_names_of_the_former_module_compression_are_found() -> None:
    from gnnrl.compression import CompressionResult, compress

    assert (CompressionResult, compress) == (gnnrl.CompressionResult, gnnrl.compress)
