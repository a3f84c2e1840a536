"""Measures of the house: what a program can see of how the package is built.

`scripts/house` prints them, with `--list` everything that they count. `tests/test_house.py` enforces floors.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gnnrl"
MOST_PARAMETERS, MOST_LINES, LONGEST_FILE, LONGEST_FUNCTION = 12, 24_800, 300, 50
FREE = {"compress"}
"""Functions that may have any number of parameters: the short form of everything."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    """Return the files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def shown(path: Path, line: int = 0, name: str = "") -> str:
    """Return the place of a finding: file, line and name."""
    where = f"{path.relative_to(ROOT)}:{line}" if line else f"{path.relative_to(ROOT)}"
    return f"{where} {name}".strip()


def functions(path: Path) -> Iterator[Function]:
    """Yield all functions and methods of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def number_of_parameters(function: Function) -> int:
    """Count the parameters that a caller gives; options of a command are declared in place and do not count."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(arg.arg not in {"self", "cls"} and not is_option(arg.annotation) for arg in given)


def is_option(annotation: ast.expr | None) -> bool:
    """Return whether an annotation declares an option of the command line."""
    text = "" if annotation is None else ast.unparse(annotation)
    return text.startswith(("Annotated[", "options."))


def long_signatures() -> list[str]:
    """List functions with too many parameters."""
    return [
        f"{shown(path, function.lineno, function.name)} ({count})"
        for path in modules()
        for function in functions(path)
        if (count := number_of_parameters(function)) > MOST_PARAMETERS and function.name not in FREE
    ]


def untyped_results() -> list[str]:
    """List functions whose result is, or holds, a `dict[str, Any]`."""
    return [
        shown(path, function.lineno, function.name)
        for path in modules()
        for function in functions(path)
        if function.returns is not None and "dict[str, Any]" in ast.unparse(function.returns)
    ]


def long_files() -> list[str]:
    """List files that are too long."""
    lengths = {path: len(path.read_text().splitlines()) for path in modules()}
    return [f"{shown(path)} ({count})" for path, count in lengths.items() if count > LONGEST_FILE]


def long_functions() -> list[str]:
    """List functions whose body is too long, without its docstring."""
    return [
        f"{shown(path, function.lineno, function.name)} ({count})"
        for path in modules()
        for function in functions(path)
        if (count := body_lines(function)) > LONGEST_FUNCTION
    ]


def body_lines(function: Function) -> int:
    """Count the lines of a function's body without its docstring."""
    first = function.body[-1 if len(function.body) == 1 else ast.get_docstring(function) is not None]
    return (function.end_lineno or 0) - first.lineno + 1


def untested_modules() -> list[str]:
    """List modules without a test file of the same name in the same folder of the tests."""
    tests = ROOT / "tests"
    places = {path: tests / path.relative_to(PACKAGE).with_name(f"test_{path.name}") for path in modules()}
    return [shown(path) for path, test in places.items() if not path.name.startswith("__") and not test.exists()]


def number_of_lines() -> int:
    """Count the lines of the package."""
    return sum(len(path.read_text().splitlines()) for path in modules())


LISTS = {
    f"signatures with more than {MOST_PARAMETERS} parameters": long_signatures,
    "functions that return dict[str, Any]": untyped_results,
    f"files over {LONGEST_FILE} lines": long_files,
    f"functions over {LONGEST_FUNCTION} lines": long_functions,
    "modules without a test of their name": untested_modules,
}


def main(*arguments: str) -> None:
    """Print all measures; with `--list`, everything that they count."""
    print(f"{number_of_lines():>7,} lines of the package (at most {MOST_LINES:,})")
    for title, find in LISTS.items():
        found = find()
        print(f"{len(found):>7,} {title}")
        for entry in found if "--list" in arguments else ():
            print(f"        {entry}")


if __name__ == "__main__":
    main(*sys.argv[1:])
