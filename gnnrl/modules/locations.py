"""Lines of the user's code that an operation or an error comes from."""

import re
import sys
import traceback
from pathlib import Path

import torch

_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = f"{Path(torch.__file__).parent}/", f"{_PACKAGE}/"
_NETWORKS = f"{_PACKAGE}/zoo/"


def _is_library(file: str) -> bool:
    """Return whether a file is part of torch or of gnnrl; networks of the zoo count as the user's."""
    return file.startswith(_LIBRARIES) and not file.startswith(_NETWORKS)


def last_user_line(text: str) -> str:
    """Return file:line of the last frame of a printed stack outside torch and gnnrl, else of the last one of torch."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', text)
    own = [frame for frame in frames if not _is_library(frame[0])]
    theirs = [frame for frame in frames if not frame[0].startswith(f"{_PACKAGE}/")]
    return ":".join((own or theirs)[-1]) if own or theirs else ""


def user_location(error: BaseException) -> str:
    """Return file:line of the innermost frame of an error in the user's code, else in another library's code."""
    traced = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in traced if not frame.filename.startswith("<") and not _is_library(frame.filename)]
    own = [frame for frame in frames if not frame.filename.startswith(sys.prefix)] or frames
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""
