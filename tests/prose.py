"""Habits of prose that a program can see, in docstrings, comments, messages, templates and pages.

`scripts/prose` prints them. `tests/test_prose.py` demands that folders of `REWRITTEN` have none: the list grows
folder by folder until it holds everything.
"""

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REWRITTEN = (
    "gnnrl/_seed_api",
    "gnnrl/agent",
    "gnnrl/environment",
    "gnnrl/errors.py",
    "gnnrl/imports.py",
    "gnnrl/modules",
    "gnnrl/moved.py",
    "gnnrl/network",
    "gnnrl/report",
    "gnnrl/searchers",
    "gnnrl/views.py",
    "gnnrl/zoo",
    "docs/glossary.md",
    "gnnrl/executors",
    "docs/howto/frozen.md",
    "gnnrl/scoring",
    "gnnrl/storage",
    "gnnrl/compression",
    "gnnrl/artifacts",
    "gnnrl/training",
    "gnnrl/latency",
    "gnnrl/runs",
    "gnnrl/pruning",
    "gnnrl/cli",
    "gnnrl/__main__.py",
)
"""Folders, files and pages in which every sentence was rewritten: nothing may be found there."""
PLACES = ("gnnrl", "README.md", "CONTRIBUTING.md", "docs")
LONGEST_MEAN = 18
"""Words of a sentence of a page, on average."""
GENERATED = {"bad-inputs.md"}
"""Pages that quote messages, whose sentences are as long as those."""

HABITS = {
    r"(?<!there )\b(?:is|are|was|were) no\b(?! (?:longer|more|less|fewer|later|way)\b)": '"is not a"',
    r"(?<!there )\b(?:is|are) none\b": '"is not one", or the noun',
    r"\bof (?:yours|ours|theirs)\b": '"your"',
    r"\bso (?:many|much)\b": '"this many"',
    r"\b(?:those|that|one|ones|results|it) of before\b|\bof before\b": '"previous"',
    r"\b(?:go|goes|going|gone|went) on\b": '"resume" or "continue"',
    r"\bbegun\b": '"started"',
    r"\banew\b": '"again"',
    r"\bmend(?:s|ed|ing)?\b": '"fix"',
    r"\b(?:tell|tells|told|telling) of\b": '"report"',
    r"\bbeside\b": '"next to" or "compared with"',
}
"""Patterns, each with what to write instead."""
OPENINGS = {"What", "Whether", "How"}
"""First words of docstrings that are neither a verb nor a noun."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Text:
    """A piece of prose: where it stands and what it says."""

    path: Path
    line: int
    words: str
    is_docstring: bool = False


@dataclass(frozen=True)
class Finding:
    """One habit at one place."""

    path: Path
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.found!r}; write {self.instead}"


def findings(text: Text) -> Iterator[Finding]:
    """Yield all habits in a piece of prose."""
    words = _SPACE.sub(" ", text.words).strip()
    for pattern, instead in HABITS.items():
        for match in re.finditer(pattern, words, re.IGNORECASE):
            yield Finding(text.path, text.line, words[max(0, match.start() - 20) : match.end() + 20], instead)
    opening = words.partition(" ")[0]
    if text.is_docstring and opening in OPENINGS:
        yield Finding(text.path, text.line, words[:40], "a verb or a noun first")


def texts(path: Path) -> Iterator[Text]:
    """Yield the prose of code (docstrings, comments, messages), of a template or of a page."""
    if path.suffix == ".py":
        yield from _docstrings_and_messages(path)
        yield from _comments(path)
    elif path.suffix == ".html":
        yield from (Text(path, line, words) for line, words in _paragraphs(_without_markup(path.read_text())))
    elif path.suffix == ".md":
        yield from (Text(path, line, words) for line, words in _paragraphs(_without_code(path.read_text())))


def _docstrings_and_messages(path: Path) -> Iterator[Text]:
    tree = ast.parse(path.read_text())
    docstrings = set()
    for node in ast.walk(tree):
        first = getattr(node, "body", [None])[0] if isinstance(getattr(node, "body", None), list) else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            docstrings.add(id(first.value))
    pieces = {id(piece) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield Text(path, node.lineno, "".join(_piece(value) for value in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
            if node.value.isidentifier():  # a name in a file, not prose
                continue
            yield Text(path, node.lineno, _without_code(node.value), id(node) in docstrings)


def _piece(value: ast.expr) -> str:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else "..."


def _comments(path: Path) -> Iterator[Text]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield Text(path, token.start[0], token.string.lstrip("# "))


def _without_code(page: str) -> str:
    """Blank out code: its lines stay, so that numbers of lines stay right."""
    page = re.sub(r"^```.*?^```", _blank, page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"<!--.*?-->", _blank, page, flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "code", page)


def _without_markup(template: str) -> str:
    """Blank out tags, scripts and expressions of a template."""
    return re.sub(r"<(script|style).*?</\1>|{[{%#].*?[}%#]}|<[^>]*>", _blank, template, flags=re.DOTALL)


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n") or " "


def _paragraphs(page: str) -> Iterator[tuple[int, str]]:
    """Yield paragraphs, items of lists and rows of tables, each with its first line."""
    start, lines = 0, list[str]()
    for number, line in enumerate([*page.splitlines(), ""], 1):
        if lines and (not line.strip() or re.match(r"\s*(?:[-*|#>]|\d+\.) ?", line)):
            yield start, " ".join(lines)
            lines = []
        if line.strip():
            start = start if lines else number
            lines.append(line.strip())


def sentence_lengths(page: Path) -> list[int]:
    """Return the number of words of each sentence of a page, without code, tables and headings."""
    lengths = []
    for _, paragraph in _paragraphs(_without_code(page.read_text())):
        if not paragraph.startswith(("|", "#", "<", "!", "[")):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)
            sentences = re.split(r"(?<=[.!?])[*_)]*\s+(?=[A-Z*_`\"(])", plain)
            lengths += [len(re.findall(r"[\w'%.,/-]*\w[\w'%.,/-]*", sentence)) for sentence in sentences]
    return [length for length in lengths if length]


def mean_sentence(page: Path) -> float:
    """Return the mean number of words of a page's sentences."""
    lengths = sentence_lengths(page)
    return sum(lengths) / max(len(lengths), 1)


def files(*places: str) -> list[Path]:
    """Return the files with prose under some folders, or these files."""
    found = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(path.rglob("*"))
    return [path for path in found if path.suffix in {".py", ".html", ".md"}]


def pages(*places: str) -> list[Path]:
    """Return the pages among them that people write."""
    return [path for path in files(*places) if path.suffix == ".md" and path.name not in GENERATED]


def habits(*places: str) -> list[Finding]:
    """Return all findings under some folders."""
    return [finding for path in files(*places) for text in texts(path) for finding in findings(text)]


def main(*places: str) -> None:
    """Print the findings under some folders, by default everywhere, and what they come to in each folder."""
    found = habits(*(places or PLACES))
    for finding in found:
        print(finding)
    for page in pages(*(places or PLACES)):
        if (mean := mean_sentence(page)) > LONGEST_MEAN:
            print(f"{page.relative_to(ROOT)}: {mean:.1f} words a sentence, at most {LONGEST_MEAN}")
    counts: dict[str, int] = {}
    for finding in found:
        folder = finding.path.relative_to(ROOT).parent.as_posix()
        counts[folder] = counts.get(folder, 0) + 1
    for folder, count in sorted(counts.items()):
        print(f"{count:>6} {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
