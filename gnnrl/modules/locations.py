"""Lines of the user's code that an operation or an error comes from."""

import re
import sys
import traceback
from pathlib import Path

import torch

_TORCH = f"{Path(torch.__file__).parent}/"
_OWN = f"{Path(__file__).parent}/"


def last_user_line(text: str) -> str:
    """Return file:line of the last frame of a printed stack outside torch and gnnrl, else of the last frame."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', text)
    own = [frame for frame in frames if not frame[0].startswith((_TORCH, _OWN))]
    return ":".join((own or frames)[-1]) if frames else ""


def user_location(error: BaseException) -> str:
    """Return file:line of the innermost frame of an error in the user's code, else in other code outside torch."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_TORCH, _OWN, "<")) and "gnnrl" not in frame.filename.split("/")[-2:-1]
    ]
    own = [frame for frame in frames if not frame.filename.startswith(sys.prefix)] or frames
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""
