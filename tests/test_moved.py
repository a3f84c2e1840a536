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
    with pytest.warns(DeprecationWarning, match="is called gnnrl.compression"):
        from gnnrl.compression import CompressionResult, compress

    assert (CompressionResult, compress) == (gnnrl.CompressionResult, gnnrl.compress)


def test_previous_names_of_what_a_module_holds_still_work_with_a_warning() -> None:
    from gnnrl.scoring import plans

    for name, current in (("Judge", plans.Scorer), ("Judgement", plans.Scored), ("judged", plans.score_network)):
        with pytest.warns(DeprecationWarning, match=f"{name} is called gnnrl.scoring.plans.{current.__name__} now"):
            assert getattr(plans, name) is current
    with pytest.raises(AttributeError, match="has no attribute 'Jury'"):
        _ = plans.Jury
