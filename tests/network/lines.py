"""Lines of a test's own networks."""

import inspect


def line_of(cls: type, text: str) -> str:
    """file:line of the first line of a class that holds a text."""
    lines, start = inspect.getsourcelines(cls)
    return f"{inspect.getsourcefile(cls)}:{start + next(i for i, line in enumerate(lines) if text in line)}"
