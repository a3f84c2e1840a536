"""Formats of the files that gnnrl writes: each file states its format and the version that wrote it.

A file of another format is refused in one sentence that names the version to install.
"""

import re
from collections.abc import Mapping
from typing import Any

from gnnrl.errors import ArtifactError
from gnnrl.version import __version__

SEARCH = 2
"""Raised, together with the version, when a searcher proposes other plans or scores change; older runs are then
refused. 2: the repair holds images out."""
_FIRST = "0.1.0"
"""The version of files that state no version."""
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def stamp(number: int) -> Mapping[str, int | str]:
    """Return the format of a new file and the version that writes it."""
    return {"format": number, "gnnrl": __version__}


def check_format(name: object, document: Any, known: int) -> Mapping[str, Any]:
    """Return a document of the known format; raise ArtifactError for any other."""
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or found != known:
        remedy = _remedy(document, found)
        raise ArtifactError(f"{name} has format {found!r}, gnnrl {__version__} reads {known}: {remedy}")
    return document


def check_resumable(name: object, settings: Mapping[str, Any]) -> None:
    """Raise ArtifactError for a run of a version whose searchers propose other plans."""
    if settings.get("search", 1) != SEARCH:
        writer = _writer(settings) or _FIRST
        raise ArtifactError(
            f"{name} was started by gnnrl {writer}, whose search tries other plans than gnnrl {__version__} does: "
            f"install gnnrl {writer} to resume it, or start again in another directory"
        )


def _remedy(document: Any, found: Any) -> str:
    """Return the remedy for a document of another format."""
    if writer := _writer(document):
        return f"install gnnrl {writer}, which wrote it"
    if not isinstance(found, int):
        return "it is damaged, or was not written by gnnrl"
    return "install a newer gnnrl, which wrote it"


def _writer(document: Any) -> str | None:
    """Return the version that wrote a document; a message repeats nothing from a file but a version."""
    writer = document.get("gnnrl") if isinstance(document, dict) else None
    return writer if isinstance(writer, str) and _VERSION.fullmatch(writer) else None
