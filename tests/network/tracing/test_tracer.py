import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import ConfigError, InputsError, TraceError
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.pruner import prune
from tests.network.lines import line_of
from tests.topologies import Head, conv, images, traced


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if y.mean() > 0:
            return y
        return -y


def test_a_wrong_input_shape_is_named_with_the_line_that_fails() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(10, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.flatten(1))

    with pytest.raises(ConfigError) as error:
        trace(Reader(), torch.zeros(2, 3, 4))

    assert "float32 [2, 3, 4] on cpu" in str(error.value)
    assert line_of(Reader, "self.linear(x") in str(error.value)


def test_control_flow_on_data_names_the_line_that_stands_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TraceError) as error:
        trace(Branches(), images())

    assert "Branches cannot be traced" in str(error.value)
    assert line_of(Branches, "if y.mean()") in str(error.value)
    assert not capsys.readouterr().err, "torch prints the graph so far"


@pytest.mark.parametrize(
    ("model", "told"),
    [(Branches, r"Branches: give an instance, Branches\(...\)"), (images, r"images\(...\)"), ("text", "str$")],
)
def test_what_is_no_network_is_refused_with_how_to_get_one(model: object, told: str) -> None:
    with pytest.raises(ConfigError, match=f"must be a torch.nn.Module, got .*{told}"):
        trace(model, images())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"must be a torch\.nn\.Module"):
        prune(model, images(), None)  # type: ignore[arg-type]


def test_a_batch_of_no_samples_is_refused() -> None:
    with pytest.raises(InputsError, match=r"hold no samples: their batch size is 0 \(float32 \[0, 3, 8, 8\]"):
        trace(nn.Sequential(conv(3, 8), Head(8)), images(batch=0))


def test_networks_in_float64_and_on_meta_tensors_are_traced_too() -> None:
    case = traced("chain")
    double = trace(copy.deepcopy(case.model).double(), images().double())

    assert [group.size for group in double.groups] == [group.size for group in case.network.groups]
    assert double.cost.measure(double.widths).bytes > case.network.cost.measure(case.network.widths).bytes


def test_a_transformer_is_traced_with_the_mask_that_torch_reads_the_values_of() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Transformer(8, 2, 1, 1, 12, batch_first=True), nn.Linear(8, 3)

        def forward(self, source: Tensor, target: Tensor) -> Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
            return self.head(self.body(source, target, tgt_mask=mask))

    inputs = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    model = Masked().eval()
    names = {group.name for group in trace(model, inputs).groups}

    assert {"body.decoder.layers.0.self_attn", "body.decoder.layers.0.linear1"} <= names
    assert torch.nn.modules.transformer._detect_is_causal_mask.__name__ == "_detect_is_causal_mask"


def test_two_threads_trace_one_after_the_other() -> None:
    def groups(_: int) -> set[str]:
        return {group.name for group in trace(nn.Sequential(conv(3, 8), conv(8, 6), Head(6)), images()).groups}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(groups, range(4))) == [{"0.0", "1.0"}] * 4


def test_what_a_network_cached_before_does_not_change_what_is_traced() -> None:
    class Caching(nn.Module):
        """Keeps a table of its weights in evaluation mode, as timm's attention biases do."""

        def __init__(self) -> None:
            super().__init__()
            self.layer, self.bias, self.head = nn.Linear(4, 6), nn.Parameter(torch.randn(6)), nn.Linear(6, 3)
            self.cache: dict[str, Tensor] = {}

        def train(self, mode: bool = True) -> "Caching":
            if mode and self.cache:
                self.cache = {}
            return super().train(mode)

        def forward(self, x: Tensor) -> Tensor:
            if "bias" not in self.cache:
                self.cache["bias"] = self.bias * 2
            return self.head(self.layer(x).relu() + self.cache["bias"])

    model, x = Caching().eval(), torch.randn(2, 4)
    before = trace(model, x)
    assert not model.cache
    with torch.no_grad():
        model(x)

    after = trace(model, x)

    assert (after.fingerprint, len(after.operations)) == (before.fingerprint, len(before.operations))
