"""The documentation is true: snippets run, every public name has an entry, pictures are up to date, and it builds."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import gnnrl
from gnnrl.cli.app import app
from gnnrl.zoo.networks import cifar_resnet

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = {
    "paper_interface.md": "tests/test_seed_api.py",  # which runs them
}
SHORTER = {
    "gnnrl demo --out small-digits": "gnnrl demo --out small-digits --episodes 3",
    "--episodes 150 --finetune-epochs 3": "--episodes 2 --finetune-epochs 1",
    "--out out": "--out from-the-command-line",  # the README's Python writes there before
    "gnnrl resume small": "gnnrl resume from-the-command-line",
    "episodes=150": "episodes=3",
    "episodes=20": "episodes=3",
    "torchvision:resnet50": "torchvision:resnet18",
    "--engines eager": "--engines eager --rounds 1",
}
"""What takes minutes as it stands, at a size that takes seconds."""
NOT_HERE = ("pip install", "scripts/", "python benchmarks/", "torchrun ")
"""Commands that set an environment up, or take hours: `tests/test_benchmarks.py` runs these; or begin processes:
`tests/cli/test_torchrun.py`."""
BLOCKS_THAT_NEED = {"finetune_on_ray": "pyarrow"}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of the fenced blocks of a page."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def shortened(text: str) -> str:
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


def write_pictures(folder: Path, size: int) -> None:
    """Four classes of eight noisy pictures."""
    rng = np.random.default_rng(0)
    for name in "abcd":
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(rng.integers(0, 255, (size, size, 3), np.uint8)).save(folder / name / f"{number}.png")


def commands(language: str, text: str) -> list[str]:
    """Commands of a console block, a line each."""
    lines = text.replace("\\\n", " ").splitlines()
    assert not [line for line in lines if line.startswith(("$ ", "% ", "> "))], "a copied prompt does not run"
    assert language == "console" or not [line for line in lines if line.startswith(("gnnrl ", "pip "))]
    return lines if language == "console" else []


def given() -> dict[str, Any]:
    """What the README takes for granted in `Your own network`."""
    from tests.compression.tiny import batches
    from tests.topologies import images, topology

    return {
        "model": topology("residual").model,
        "MyNetwork": lambda: topology("residual").model,
        "example_inputs": images(),
        "validation_loader": batches(seed=1),
        "train_loader": batches(seed=2),
        "test_loader": batches(seed=3),
        "my_training_loop": lambda model: None,
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).with_suffix("").as_posix())
def test_every_snippet_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.name in ELSEWHERE:
        assert page.name in (ROOT / ELSEWHERE[page.name]).read_text()
        return
    for library in ("torchvision", "timm"):
        if library in page.read_text():
            pytest.importorskip(library)
    if page.name == "README.md":
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    space = given() if page.name == "README.md" else {}
    write_pictures(Path("pictures"), 16)
    if page.name == "README.md":
        write_pictures(Path("cifar10-jpeg"), 32)
        save_file(cifar_resnet(20).state_dict(), "resnet20.safetensors")
    try:
        for language, text in blocks(page):
            if any(word in text and find_spec(needed) is None for word, needed in BLOCKS_THAT_NEED.items()):
                continue
            if language == "python":
                code = shortened(text)
                if "class Net(" in code:
                    Path("net.py").write_text(code.partition("model = ")[0])
                with warnings.catch_warnings():
                    if any(word in text for word in BLOCKS_THAT_NEED):
                        warnings.simplefilter("ignore")  # Ray's own
                    exec(compile(code, page.name, "exec"), space)
            for command in commands(language, text):
                run(shortened(command))
    finally:
        sys.modules.pop("narrow", None)


def run(command: str) -> None:
    if command.startswith(NOT_HERE):
        return
    program, *arguments = shlex.split(command)
    assert program == "gnnrl", command
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{command}\n{done.output}"


def test_every_public_name_has_an_entry_in_the_reference() -> None:
    entries = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)$", reference(), re.MULTILINE)}

    assert set(gnnrl.__all__) - {"__version__"} <= entries
    assert "`gnnrl.__version__`" in reference()


def reference() -> str:
    return (ROOT / "docs" / "reference.md").read_text()


def test_every_entry_of_the_reference_is_where_it_says() -> None:
    from importlib import import_module

    for entry in re.findall(r"^::: (\S+)$", reference(), re.MULTILINE):
        module, _, name = entry.rpartition(".")
        assert getattr(import_module(module), name).__doc__, entry
        assert getattr(import_module(module), name) is getattr(gnnrl, name, getattr(import_module(module), name))


def test_pictures_are_those_that_the_script_draws() -> None:
    torch.manual_seed(0)
    drawn = dict(runpy.run_path(str(ROOT / "scripts" / "draw_concepts.py"))["pictures"]())

    assert drawn == {path.stem: path.read_text() for path in (ROOT / "docs" / "pictures").glob("*.svg")}


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    for module in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "site" / "reference" / "index.html").read_text()
    for name in gnnrl.__all__:
        assert name in page
    for path in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)\b[^>]*(?:src|href)="(https?://[^"]+)"', path.read_text())
        assert not loaded, f"{path.name} loads {loaded}"
