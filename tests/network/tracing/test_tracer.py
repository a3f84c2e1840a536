import copy
import inspect
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from gnnrl.errors import ConfigError, InputsError, TraceError
from gnnrl.network.description import Description
from gnnrl.network.reasons import Kind
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.pruner import prune
from tests.topologies import TOPOLOGIES, Head, Traced, conv, images, traced


def line_of(cls: type, text: str) -> str:
    """file:line of the first line of a class that holds a text."""
    lines, start = inspect.getsourcelines(cls)
    return f"{inspect.getsourcefile(cls)}:{start + next(i for i, line in enumerate(lines) if text in line)}"


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if y.mean() > 0:
            return y
        return -y


class Bessel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.inner = Inner()
        self.head = Head(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.stem(x)))


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0(x)


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


class Selecting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x.mean((1, 2, 3)) > 0]


class Listing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[torch.nonzero(x[:, 0, 0, 0] > 0).squeeze(1)]


@pytest.mark.parametrize(("part", "line"), [(Selecting, "return x["), (Listing, "torch.nonzero")])
def test_sizes_that_depend_on_data_are_refused_with_the_module_and_the_line(part: type[nn.Module], line: str) -> None:
    model = nn.Sequential(conv(3, 8), part(), Head(8))

    with pytest.raises(TraceError, match="1 of Sequential cannot be traced: the size") as error:
        trace(model, images())

    assert line_of(part, line) in str(error.value)
    assert "torch.where" in str(error.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    model = copy.deepcopy(traced("chain").model)
    with torch.no_grad():
        model[2][0].weight[0, 0, 0, 0] = bad

    with pytest.raises(TraceError, match=re.escape("2.0.weight holds NaN or infinite values")):
        trace(model, images())


def test_lazy_modules_are_refused_until_they_are_initialised() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Conv2d(4, 2, 1))

    with pytest.raises(TraceError, match=re.escape("0.weight is not initialised")):
        trace(model, images())
    model(images())

    assert trace(model, images()).group("0").size == 4


def test_an_operation_without_a_rule_freezes_what_it_touches_and_says_where() -> None:
    network = trace(Bessel(), images())

    assert not network.groups
    frozen = next(group for group in network.frozen if group.name == "stem.0")
    assert frozen.size == 8
    reason = frozen.reasons[0]
    assert reason.kind is Kind.NO_RULE
    assert (reason.operation, reason.module) == ("special_i0", "inner")
    assert reason.location == line_of(Inner, "special.i0")


def test_the_inputs_and_outputs_of_the_network_are_never_pruned(case: Traced) -> None:
    for group in case.network.groups:
        assert group.size > 0
    output = [group for group in case.network.frozen if any(reason.kind is Kind.OUTPUT for reason in group.reasons)]

    assert case.name in {"without_rule", "maxout"} or output


def test_a_parameter_that_is_returned_stays() -> None:
    class Returns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.conv = nn.Parameter(torch.ones(1, 4, 1, 1)), nn.Conv2d(3, 4, 3)
            self.last = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.last(self.conv(x) * self.scale), self.scale * 1

    assert not trace(Returns(), images()).groups


def test_tracing_twice_gives_the_same_fingerprint_whatever_the_weights() -> None:
    case = traced("residual")
    other = copy.deepcopy(case.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)

    assert trace(other, images()).fingerprint == case.network.fingerprint
    assert traced("chain").network.fingerprint != case.network.fingerprint


def test_operations_know_their_modules_parameters_and_settings() -> None:
    network = traced("padding_shortcut").network
    operation = next(o for o in network.operations if o.parameters.get("weight") == "2.conv1.0.weight")

    assert operation.name == "conv2d"
    assert operation.module == "2.conv1.0"
    assert [name for _, name in operation.modules][-3:] == ["BasicBlock", "Sequential", "Conv2d"]
    assert list(operation.settings["stride"]) == [2, 2]
    assert operation.shape == (2, 16, 4, 4)


def test_networks_in_float64_and_on_meta_tensors_are_traced_too() -> None:
    case = traced("chain")
    double = trace(copy.deepcopy(case.model).double(), images().double())

    assert [group.size for group in double.groups] == [group.size for group in case.network.groups]
    assert double.cost.measure(double.widths).bytes > case.network.cost.measure(case.network.widths).bytes


class Sparing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 3)
        self.embedding = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.out(self.a(x) if y is None else self.a(x) + self.b(y))


def test_modules_that_the_inputs_do_not_run_are_named() -> None:
    x = torch.randn(4, 8)
    network = trace(Sparing(), x)

    assert network.unrun == ("b", "embedding")
    assert "Not run by these inputs, left unchanged: 2 modules: b, embedding." in str(network)
    assert Description.of(network).to_dict()["unrun"] == ("b", "embedding")
    assert "Not run by these inputs, left unchanged: 2 modules: b, embedding." in network._repr_html_()
    assert trace(Sparing(), (x, x)).unrun == ("embedding",)


@pytest.mark.parametrize("name", sorted(set(TOPOLOGIES) - {"unused_parameter"}))
def test_what_a_network_runs_is_not_told_to_be_spared(name: str) -> None:
    case = traced(name)

    assert "Not run" not in str(case.network), case.network.unrun


@pytest.mark.parametrize(
    "normed",
    [
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
    ],
)
def test_groups_of_parametrized_layers_have_the_name_and_the_share_of_the_plain_ones(
    normed: Callable[[nn.Module], nn.Module],
) -> None:
    def build(change: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return nn.Sequential(change(nn.Conv2d(3, 8, 3)), nn.ReLU(), change(nn.Conv2d(8, 6, 3)), Head(6))

    plain = Description.of(trace(build(lambda layer: layer), images()))
    found = Description.of(trace(build(normed), images()))

    rows = [(row.name, row.macs_share, row.layers) for row in found.shrinking]
    assert rows == [(row.name, row.macs_share, row.layers) for row in plain.shrinking]


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


def test_a_network_prints_as_a_table_with_reasons() -> None:
    text = str(traced("spatial_attention").network)

    assert "a.0" in text
    assert "mean is taken over these channels" in text


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
