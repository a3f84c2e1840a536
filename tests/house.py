"""Measures of the house: what a program can see of how the package is built.

`scripts/house` prints them, with `--list` everything that they count. `tests/test_house.py` enforces the floors, and
what is at its limit already.
"""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gnnrl"
MOST_PARAMETERS, MOST_LINES, LONGEST_FILE, LONGEST_FUNCTION = 12, 24_800, 300, 50
MOST_UNTESTED = 20
"""Lines of logic that a module may have without a test file of its name.

Logic is what stands inside functions. Doors of folders, tables, declarations and other names for things have little.
"""
FREE = {"compress"}
"""Functions that may have any number of parameters: the short form of everything."""

FLOORS = (
    {"errors", "moved", "version", "views"},
    {"imports", "modules", "storage", "agent"},
    {"network", "zoo"},
    {"pruning"},
    {"artifacts", "environment", "latency", "scoring"},
    {"engines", "report", "runs", "searchers", "training"},
    {"executors", "_seed_api"},
    {"compression", "graph_env", "lib", "models"},
    {"cli"},
    {"__main__"},
)
"""Folders and modules of the package, the ground floor first. What shares a floor does not know each other."""
FLOOR_OF = {entry: number for number, entries in enumerate(FLOORS) for entry in entries}
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PACKAGES = sorted(module for module, path in FILES.items() if path.name == "__init__.py")
BEHIND = sorted({*FILES} - {"gnnrl"})
"""All modules but the front door, which alone may name everything."""
NAME = re.compile(r"(gnnrl(?:\.\w+)+)(?::\w+)?")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def imports(module: str) -> set[str]:
    """Modules of the package that a module names: in imports anywhere in it, for type checking too, and in texts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "gnnrl"}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            if (node.module or "").split(".")[0] == "gnnrl":
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                modules = {name for name in inner if name in FILES}
                found |= modules if modules == inner else modules | {str(node.module)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (name := NAME.fullmatch(node.value)):
            found |= {name[1] if name[1] in FILES else name[1].rpartition(".")[0]} & {*FILES}
    return found


def top(module: str) -> str:
    """The folder or module of the package that a module belongs to."""
    return module.split(".")[1]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def upstairs(module: str) -> list[str]:
    """List what a module imports from its own floor, from higher ones and from the front door."""
    others = [name for name in sorted(imports(module)) if name == "gnnrl" or top(name) != top(module)]
    return [name for name in others if name == "gnnrl" or FLOOR_OF[top(name)] >= FLOOR_OF[top(module)]]


def circle(package: str) -> list[str]:
    """Find files and folders of a folder that import each other in a circle.

    A folder counts as one: none of its files may need a file next to the folder that needs the folder.
    """

    def entry(module: str) -> str:
        return ".".join(module.split(".")[: package.count(".") + 2])

    inside = [module for module in BEHIND if within(module, package)]
    graph: dict[str, set[str]] = {entry(module): set() for module in inside}
    for module in inside:
        graph[entry(module)] |= {entry(name) for name in imports(module) if name in inside} - {entry(module)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def imports_upstairs() -> list[str]:
    """List imports that do not lead downstairs; those in texts and for type checking are seen too."""
    return [f"{module} imports {name}" for module in BEHIND for name in upstairs(module)]


def circles() -> list[str]:
    """List circles of imports between the files and folders of one folder."""
    return [" -> ".join(found) for package in PACKAGES if (found := circle(package))]


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
        for path in FILES.values()
        for function in functions(path)
        if (count := number_of_parameters(function)) > MOST_PARAMETERS and function.name not in FREE
    ]


def untyped_results() -> list[str]:
    """List functions whose result is, or holds, a `dict[str, Any]`."""
    return [
        shown(path, function.lineno, function.name)
        for path in FILES.values()
        for function in functions(path)
        if function.returns is not None and "dict[str, Any]" in ast.unparse(function.returns)
    ]


def long_files() -> list[str]:
    """List files that are too long."""
    lengths = {path: len(path.read_text().splitlines()) for path in FILES.values()}
    return [f"{shown(path)} ({count})" for path, count in lengths.items() if count > LONGEST_FILE]


def long_functions() -> list[str]:
    """List functions whose body is too long, without its docstring."""
    return [
        f"{shown(path, function.lineno, function.name)} ({count})"
        for path in FILES.values()
        for function in functions(path)
        if (count := body_lines(function)) > LONGEST_FUNCTION
    ]


def body(function: Function) -> list[ast.stmt]:
    """Return the statements of a function without its docstring."""
    return function.body[len(function.body) > 1 and ast.get_docstring(function) is not None :]


def body_lines(function: Function) -> int:
    """Count the lines of a function's body without its docstring."""
    return (function.end_lineno or 0) - body(function)[0].lineno + 1


def lines_of_logic(path: Path) -> int:
    """Count the lines of code in the bodies of a file's functions, without docstrings, comments and blank lines."""
    nodes = (node for function in functions(path) for part in body(function) for node in ast.walk(part))
    return len({node.lineno for node in nodes if hasattr(node, "lineno")})


def untested_modules() -> list[str]:
    """List modules whose logic needs a test file of the same name, in the same folder of the tests, that is missing."""
    tests = ROOT / "tests"
    places = {path: tests / path.relative_to(PACKAGE).with_name(f"test_{path.name}") for path in FILES.values()}
    counts = {path: lines_of_logic(path) for path, test in places.items() if not test.exists()}
    return [f"{shown(path)} ({count})" for path, count in counts.items() if count > MOST_UNTESTED]


def number_of_lines() -> int:
    """Count the lines of the package."""
    return sum(len(path.read_text().splitlines()) for path in FILES.values())


LISTS = {
    "imports upstairs": imports_upstairs,
    "circles of imports": circles,
    f"signatures with more than {MOST_PARAMETERS} parameters": long_signatures,
    "functions that return dict[str, Any]": untyped_results,
    f"files over {LONGEST_FILE} lines": long_files,
    f"functions over {LONGEST_FUNCTION} lines": long_functions,
    f"modules with over {MOST_UNTESTED} lines of logic and no test of their name": untested_modules,
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
