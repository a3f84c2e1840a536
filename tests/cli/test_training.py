"""Settings of a training: the precision, and what belongs to it."""

import pytest
import torch

from gnnrl.cli.training import Training


@pytest.mark.parametrize(
    ("abilities", "precision"),
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({"avx2": True}, "float32")],
)
def test_bfloat16_is_chosen_where_the_processor_computes_in_it(
    abilities: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)

    assert Training(precision="auto").exact_precision() == precision
    assert Training(precision="float32").exact_precision() == "float32"
