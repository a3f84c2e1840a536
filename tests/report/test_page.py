"""The page, the card and the record: what they say, that nothing foreign gets in, and that they can be made again."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from gnnrl.artifacts import bundle
from gnnrl.cli.app import app
from gnnrl.errors import ArtifactError
from gnnrl.network.cost import measure
from gnnrl.network.surgery import remove
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.plan import Plan
from gnnrl.report.blocks import find_runs
from gnnrl.report.card import write_card
from gnnrl.report.charts import draw_search
from gnnrl.report.elements import breakable
from gnnrl.report.notebook import show_network, show_plan, show_result
from gnnrl.report.page import render
from gnnrl.report.record import Judged, Record, finetuned, read_record, write_record
from gnnrl.report.tensorboard import log_trials
from gnnrl.scoring.classes import ClassTally
from gnnrl.training import top1
from gnnrl.zoo.models import resolve_model
from tests.report.results import Page, batches, result
from tests.topologies import Traced, topology, traced

HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(1)> {{ 7*7 }} | `rm` ](javascript:x)"


def hostile(value: object) -> object:
    """The same document with every text replaced."""
    if isinstance(value, dict):
        return {key: hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


def test_layers_of_a_drawing_are_those_of_the_pruned_network(case: Traced) -> None:
    halves = (case.network.widths + 1) // 2
    plan = Plan.of_widths(case.network, halves, [torch.randperm(n).numpy() for n in case.network.widths])
    small = dict(remove(case.model, case.network, plan.kept or ()).named_parameters())
    layers = [layer for run in find_runs(case.network, plan) for layer in run.layers]
    weights = {
        operation.module: (operation.parameters["weight"], int("transpose" in operation.name))
        for operation in case.network.operations
        if "weight" in operation.parameters
    }

    assert layers
    for layer in layers:
        name, dim = weights.get(layer.name, (layer.name, 0))
        assert layer.pruned == small[name].shape[dim], layer.name
        assert 0 <= layer.fixed <= layer.pruned <= layer.dense
        assert bool(layer.stays) <= bool(layer.fixed)
    whole = measure(case.network, plan).macs / measure(case.network).macs
    assert sum(layer.macs_left for layer in layers) <= whole + 1e-9


def test_blocks_of_one_kind_that_follow_each_other_are_folded() -> None:
    runs = find_runs(traced("residual").network)
    names = [block.name for run in runs for block in run.blocks]

    assert len(runs) <= len(names)
    for one, other in pairwise(runs):
        assert one.kinds != other.kinds


def test_the_page_says_what_was_asked_and_got() -> None:
    found = result()
    record = found.record(
        {"model": "tiny", "latency_ms": {"dense": 2.0, "pruned": 1.0}, "commands": [["gnnrl", "x y"]]}
    )
    page = Page(render(record, "out"))

    for said in (
        "tiny at MACs ≤ 50%",
        f"{found.cost['dense'].macs:,}",
        f"{found.cost['pruned'].macs:,}",
        f"{found.score['dense']:.1%}",
        f"{found.score['repaired']:.1%}",
        "×2.00",
        "gnnrl 'x y'",
        "gnnrl.load(fresh_model, 'out').eval()",
        *(group.name for group in found.network.groups),
    ):
        assert said in page.text, said
    assert page.count("circle") == len(found.history)
    assert page.count("img", class_="heat") == 1
    layers = [layer for run in record.runs for layer in run.layers]
    assert page.count("rect", class_="whole") == len(layers)
    assert page.count("rect", class_="stays") == sum(layer.fixed > 0 for layer in layers) > 0


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    text = render(result().record(), "out")
    page = Page(text)
    policy = next(found["content"] for tag, found in page.elements if found.get("http-equiv"))

    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert not re.findall(r"url\(|@import", text)
    assert not page.count("script") + page.count("link") + page.count("iframe")
    assert all(found["src"].startswith("data:image/png;base64,") for tag, found in page.elements if tag == "img")


def test_what_others_named_stays_text() -> None:
    record = result().record({"commands": [["a", "b"]], "data": "x"})
    tame = Page(render(record, "out"))
    wild_record = Record.model_validate(
        hostile(json.loads(record.model_dump_json(exclude={"score", "metric", "stage_seconds"})))
        | {"score": record.score, "metric": "top1", "stage_seconds": {HOSTILE: 1.0}}
    )
    wild = Page(render(wild_record, HOSTILE))

    assert "alert" in wild.text
    assert "49" not in wild.text.replace("7*7", "") or "{{ 7*7 }}" in wild.text
    for tag in ("script", "img", "svg", "style"):
        assert wild.count(tag) == tame.count(tag)
    assert not [name for _, found in wild.elements for name in found if name.startswith("on")]
    card = write_card(wild_record, HOSTILE)
    assert not re.search(r"(?<!\\)<(script|img)", card.split("```python")[0].split("---\n", 2)[2])


def test_a_saved_result_has_report_and_card_and_they_can_be_made_again(tmp_path: Path) -> None:
    folder = result().save(tmp_path / "out", about={"model": "tiny"})

    assert read_record(folder) == result().record({"model": "tiny"})
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    (folder / "README.md").write_text("edited")
    done = CliRunner().invoke(app, ["report", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"report": str(folder / "report.html"), "bytes": len(page.encode())}
    assert (folder / "report.html").read_text() == page
    small = bundle.load(topology("residual").model, folder)
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), result().model.parameters(), strict=True))


def test_a_history_is_not_needed_to_load_but_may_not_be_damaged(tmp_path: Path) -> None:
    folder = result().save(tmp_path / "out")
    history = folder / "history.json"
    text = history.read_text()
    history.write_text(text.replace("dense", "sense", 1))
    with pytest.raises(ArtifactError, match=r"history\.json is damaged"):
        bundle.load(topology("residual").model, folder)
    history.unlink()
    bundle.load(topology("residual").model, folder)
    with pytest.raises(ArtifactError, match=r"history\.json"):
        read_record(folder)


@pytest.mark.parametrize("damage", ["[]", "{}", '{"format": 1, "model": 3}', "[" * 10_000, "nonsense"])
def test_a_history_of_another_kind_is_refused(tmp_path: Path, damage: str) -> None:
    plan = result().plan
    folder = bundle.save(tmp_path / "out", result().model, plan, {}, documents={"history.json": damage})

    with pytest.raises(ArtifactError, match="not a record of a compression"):
        read_record(folder)


def test_a_record_survives_its_file() -> None:
    record = result().record({"latency_ms": {"dense": 2.0, "pruned": 1.0}})

    assert Record.model_validate_json(write_record(record)) == record


def test_the_card_says_how_to_load_it_in_three_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    card = (result().save("out") / "README.md").read_text()
    found = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    space = {"fresh_model": topology("residual").model}
    exec(found[0], space)

    assert len(found[0].strip().splitlines()) <= 3
    assert type(space["small"]) is type(result().model)
    assert card.startswith("---\nlibrary_name: gnnrl\n")
    assert f"{result().cost['pruned'].params:,}" in card
    assert f"value: {result().score['repaired']:.4f}" in card


def test_classes_are_counted_while_the_score_is_measured() -> None:
    data = batches(3, seed=2)
    tally = ClassTally(data, names=("a", "b"))
    found = result()

    assert tally(found.model) == pytest.approx(top1(found.model, data))
    labels = torch.cat([labels for _, labels in data])
    assert tally.images == tuple(torch.bincount(labels, minlength=5).tolist())
    assert sum(tally.passes[0]) == round(len(labels) * top1(found.model, data))
    assert tally.change(0, 0)["names"] == ["a", "b", "2", "3", "4"]
    assert found.classes is not None
    images = found.classes["images"]
    share = sum(a * b for a, b in zip(images, found.classes["final"], strict=True)) / sum(images)
    assert share == pytest.approx(found.score["repaired"])


def test_the_best_plan_so_far_never_falls_and_outliers_stay_in_the_chart() -> None:
    scores = [0.5, 0.4, 0.6, -1e6, 0.61, 0.2]
    chart = str(draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in scores], "reward"))
    line = re.findall(r'd="M([^"]*)" class="best"', chart)[0]
    levels = [float(corner.split(",")[1]) for corner in line.split("L")]

    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 7, "a corner at each end, and two on the way from each rise to the next"
    assert all(0 <= float(y) <= 270 for y in re.findall(r'cy="([-\d.]+)"', chart))


def test_plans_that_rose_stand_on_the_line_and_the_others_below_it() -> None:
    scores = [0.5, 0.4, 0.6, 0.61, 0.2]
    chart = str(draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in scores], "top1"))
    others, rises = chart.split('class="best"')

    assert (others.count('class="point"'), others.count("rise")) == (2, 0)
    assert (rises.count('class="point"'), rises.count('class="point rise"')) == (0, 3)


@pytest.mark.parametrize(("reward", "tick"), [("top1", "40%"), ("loss", "0.4"), ("kl", "0.4")])
def test_an_axis_of_shares_is_in_percent_as_the_rest_of_the_page(reward: str, tick: str) -> None:
    chart = draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in (0.25, 0.75)], reward)
    shown = re.findall(r'text-anchor="end">(.*?)<', str(chart))

    assert tick in shown
    assert all(text.endswith("%") == (reward == "top1") for text in shown)


@pytest.mark.parametrize(
    ("images", "final", "said"),
    [
        (500, 0.98, "0.2 points, and the accuracy of all such images may lie 1.3 points off"),
        (500, 0.98, "a change of −1.0 points is within that"),
        (500, 1.0, "may lie 0.38 points off (95% interval)."),
        (50_000, 0.5, "may lie 0.44 points off (95% interval)."),
    ],
)
def test_a_page_says_what_few_test_images_can_tell(images: int, final: float, said: str) -> None:
    record = result().record().model_copy(update={"test_images": images, "score": {"dense": 0.99, "repaired": final}})

    assert said in Page(render(record, "out")).text


@pytest.mark.parametrize(("final", "is_said"), [(0.93, True), (0.949, False), (0.96, False)])
def test_a_page_says_where_fine_tuning_made_it_worse(final: float, is_said: bool) -> None:
    score = {"dense": 0.94, "repaired": 0.95, "finetuned": final}
    record = result().record().model_copy(update={"test_images": 10_000, "score": score})

    assert ("train with a smaller --learning-rate" in Page(render(record, "out")).text) == is_said


def test_the_time_of_the_search_is_said_once() -> None:
    record = result().record()
    trials = tuple(trial.model_copy(update={"seconds": 3.0}) for trial in record.trials)
    told = record.model_copy(update={"trials": trials, "stage_seconds": {"search": 55.0}})
    text = Page(render(told, "out")).text

    assert "12 plans, 3.0 s each" in text
    assert "search 55 s" in text
    assert "36 s" not in text


def test_names_break_at_their_dots_and_long_ones_anywhere_else() -> None:
    assert breakable("features.3.conv_reduce/x") == "features<wbr>.3<wbr>.conv_reduce<wbr>/x"
    assert breakable("x" * 40) == "<wbr>".join(("x" * 16, "x" * 16, "x" * 8))
    assert breakable("<b>.") == "&lt;b&gt;<wbr>."


@pytest.mark.parametrize("scores", [[0.0, 0.0], [1e-9, 2e-9], [-5.0, -5.0, -4.0], [1e6, 1e6 + 1]])
def test_any_scores_give_a_chart(scores: list[float]) -> None:
    assert "<svg" in draw_search([Judged(score=score, seconds=1, widths=(1,)) for score in scores], "reward")


def test_networks_plans_and_results_show_themselves_in_a_notebook() -> None:
    found = result()

    assert found.network._repr_html_() == show_network(found.network)
    assert found.plan._repr_html_() == show_plan(found.plan)
    assert found._repr_html_() == show_result(found.record())
    for shown in (found.network, found.plan, found):
        page = Page(shown._repr_html_())
        assert all(name in page.text for name in found.plan.names if shown is not found)
        assert not page.count("script")


def test_a_report_of_a_large_network_is_small() -> None:
    """Of 500 plans of 400 groups in 200 blocks."""
    record = result().record()
    widths = tuple(
        record.widths[0].model_copy(update={"name": f"group{n}", "dense": 64, "pruned": 30}) for n in range(400)
    )
    trials = tuple(Judged(score=n / 500, seconds=1, widths=(30,) * 400) for n in range(500))
    blocks = [run.blocks[0] for run in record.runs]
    runs = tuple(record.runs[0].model_copy(update={"blocks": (blocks[n % len(blocks)],) * 2}) for n in range(100))
    page = render(record.model_copy(update={"widths": widths, "trials": trials, "runs": runs}), "out")

    assert len(page.encode()) < 1_000_000


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        (
            "cifar-resnet20",
            (1, 3, 32, 32),
            ["conv1", "layer1.0 … 2", "layer2.0", "layer2.1 … 2", "layer3.0", "layer3.1 … 2"],
        ),
        ("timm:vit_tiny_patch16_224", (1, 3, 224, 224), ["patch_embed.proj", "blocks.0 … 11", "head"]),
        ("timm:efficientnet_b0", (1, 3, 32, 32), ["conv_stem", "blocks.0.0", "blocks.1.0", "blocks.1.1"]),
        ("torchvision:vgg11", (1, 3, 32, 32), ["features", "classifier"]),
    ],
)
def test_a_drawing_has_the_blocks_that_a_person_would_name(name: str, shape: tuple[int, ...], said: list[str]) -> None:
    if ":" in name:
        pytest.importorskip(name.partition(":")[0])
    found = [run.name for run in find_runs(trace(resolve_model(name), (torch.randn(shape),)))]

    assert found[: len(said)] == said


def test_a_search_is_written_to_tensorboard() -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

    log = log_trials(Writer(), "digits")
    for trial in result().history:
        log(trial)

    scores = [trial.score for trial in result().history]
    assert [value for tag, value, _ in written if tag == "digits/score"] == scores
    assert [value for tag, value, _ in written if tag == "digits/best"] == [max(scores[: n + 1]) for n in range(12)]
    assert [step for tag, _, step in written if tag == "digits/macs"] == list(range(12))


def test_a_result_that_is_trained_further_keeps_its_report() -> None:
    record = result().record()
    assert record.classes is not None
    classes = {"names": record.classes.names, "images": record.classes.images}
    now = finetuned(record, 0.9, {**classes, "dense": record.classes.final, "final": [0.9] * len(record.classes.names)})

    assert now.final == 0.9
    assert now.stages == [*record.stages, "finetuned"]
    assert now.classes is not None
    assert (now.classes.dense, set(now.classes.final)) == (record.classes.dense, {0.9})
    assert now.trials == record.trials
