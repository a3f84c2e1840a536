"""The table of networks by library: `results/coverage_libraries.json`, and the page that is written from it."""

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

RESULT = Path(__file__).parent / "results" / "coverage_libraries.json"
PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
LIBRARIES = {
    "transformers": ("transformers", "peft"),
    "diffusers": ("diffusers", "transformers"),
    "ultralytics": ("ultralytics",),
    "rfdetr": ("rfdetr", "transformers"),
    "segmentation": ("segmentation-models-pytorch",),
    "monai": ("monai", "einops"),
    "audio": ("torchaudio",),
    "torchvision": ("torchvision",),
}
"""Sections, and the packages that each environment has beside gnnrl and torch."""
_HEAD = """# Networks by library

What people bring, with random weights: `benchmarks/coverage.py --library NAME`, a process for each network with limits
of time and memory. `-` stands where the network does not do that before pruning either, or does not have it.

- **half**: MACs left by `macs<=50%`, of the dense network's; predicted MACs and parameters equal the counted ones, and
  shapes of outputs are those of the dense network.
- **floor**: MACs left with every group at one unit; that network is built and verified, too.
- **masked**: largest difference from the dense network with zeroed channels, of its largest output. Groups whose
  channels a normalisation reads are kept whole in this comparison.
- **batch, length**: another batch size, another length or size of the inputs.
- **train**: forward and backward in train mode.
- **repair**: error on samples that were not in the calibration, after the repair over before.
- **saved**: saved, and loaded into a fresh instance to the last bit.
- **text**: generates the same tokens with a cache and without.
- **seconds**: CPU time of tracing and pruning, one thread.
"""
_COLUMNS = (
    "| network | half | floor | masked | batch | length | train | repair | saved | text | seconds | what fails, or the "
    "largest obstacle |"
)
_RULE = "| --- " + "| ---: " * 3 + "| --- " * 3 + "| ---: " + "| --- " * 2 + "| ---: | --- |"


def read() -> dict[str, Any]:
    """Read what is known of all libraries."""
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    return found


def keep(library: str, section: dict[str, Any]) -> None:
    """Write a section; other sections are read again, since they may be written at the same time."""
    written = RESULT.with_suffix(f".{library}")
    written.write_text(json.dumps({**read(), library: section}, indent=1) + "\n")
    written.replace(RESULT)


def versions(library: str) -> dict[str, str]:
    """Return the versions of the packages of an environment."""
    found = {}
    for package in LIBRARIES[library]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def line(row: dict[str, Any]) -> str:
    """Write a row of the table."""
    cells = [
        row["name"],
        _share(row.get("half")),
        _share(row.get("floor")),
        "-" if row.get("masked") is None else f"{row['masked']:.0e}",
        *(row.get(key, "no") for key in ("batch", "longer", "backward")),
        "-" if row.get("repair") is None else f"{row['repair']:.2f}",
        *(row.get(key, "no") for key in ("saved", "generate")),
        f"{row.get('seconds', 0.0):.1f}",
        " / ".join(row["problems"]) or row.get("cause", ""),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write() -> None:
    """Write the page."""
    known = {library: section for library, section in read().items() if section["rows"]}
    parts = [_HEAD, *_summary(known)]
    for library, section in known.items():
        packages = ", ".join(f"{name} {number}" for name, number in section["versions"].items())
        where = f"torch {section['torch']}, Python {section['python']}, {section['processor']}"
        parts += [f"\n## {library}\n", f"{packages}; {where}.\n", _COLUMNS, _RULE]
        parts += [line(row) for row in section["rows"].values()]
        notes = [f"- {row['name']}: {row['note']}" for row in section["rows"].values() if row.get("note")]
        parts += ["\nConfigurations:\n", *notes] if notes else []
    PAGE.write_text("\n".join(parts) + "\n")


def _summary(known: dict[str, Any]) -> Iterable[str]:
    """Write how many rows meet the goals."""
    yield "| | rows | all held | at half of the MACs | median floor | largest floor | most seconds |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    rows = {library: list(section["rows"].values()) for library, section in known.items()}
    for library, found in [*rows.items(), ("all", [row for part in rows.values() for row in part])]:
        floors = [1.0 if row.get("floor") is None else row["floor"] for row in found]
        sound = sum(not row["problems"] for row in found)
        half = sum((row.get("half") or 1.0) <= 0.5 for row in found)
        most = max(row.get("seconds", 0.0) for row in found)
        figures = f"{_share(median(floors))} | {_share(max(floors))} | {most:.0f}"
        yield f"| {library} | {len(found)} | {sound} | {half} | {figures} |"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
