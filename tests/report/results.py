"""A small result that all tests of the report look at, made once."""

from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import torch
from torch import Tensor

from gnnrl.compression.pipeline import compress
from gnnrl.compression.result import CompressionResult
from tests.topologies import images, topology


def batches(count: int = 2, size: int = 32, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, 3, 8, 8, generator=generator), torch.randint(0, 5, (size,), generator=generator))
        for _ in range(count)
    ]


@cache
def result() -> CompressionResult:
    """The residual topology, halved by a random search of twelve plans."""
    torch.manual_seed(0)
    found = compress(
        topology("residual").model,
        images(),
        "macs<=50%",
        evaluate=batches(seed=1),
        calibration=batches(),
        test=batches(seed=2),
        searcher="random",
        episodes=12,
    )
    assert "no more than guessing" in found.doubt
    return replace(found, doubt="")


class Page(HTMLParser):
    """A page as a list of (tag, attributes) and its text; refuses elements that are not closed in order."""

    EMPTY = ("meta", "br", "wbr", "img", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def count(self, tag: str, **attributes: str) -> int:
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return sum(name == tag and wanted.items() <= found.items() for name, found in self.elements)
