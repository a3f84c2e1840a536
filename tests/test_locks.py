"""Each lock names every package that its packages require, for every Python and platform that gnnrl is for."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GATE = re.search(r"^gate_extras=(.+)$", (ROOT / "scripts" / "setup").read_text(), re.MULTILINE)[1].split(",")
EXTRAS = {"core": ["full"], "gate": GATE, "ray": [*GATE, "ray"]}
PLATFORMS = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}
PYTHONS = ("3.11.7", "3.12.1", "3.13.0", "3.14.0")
Place = dict[str, str]
"""A Python on a platform, as the variables that markers of requirements ask for."""


def place(python: str, platform: str) -> Place:
    """Return the variables of CPython on a platform."""
    versions = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    return (
        versions | {"implementation_name": "cpython", "platform_python_implementation": "CPython"} | PLATFORMS[platform]
    )


@cache
def lines(lock: str) -> tuple[Requirement, ...]:
    """Return the requirements of a lock, without their hashes."""
    text = (ROOT / "scripts" / "locks" / f"{lock}.txt").read_text()
    return tuple(Requirement(line.rstrip("\\ ")) for line in text.splitlines() if re.match(r"[a-z0-9]", line))


def versions(lock: str, place: Place) -> dict[str, str]:
    """Return the version that a lock gives each package in a place."""
    applies = [line for line in lines(lock) if line.marker is None or line.marker.evaluate(place)]
    found = {line.name: str(line.specifier).removeprefix("==") for line in applies}
    assert len(found) == len(applies), "a package has two versions"
    return found


@cache
def required(package: str, version: str) -> tuple[Requirement, ...]:
    """Return what a package requires, if that version is installed; another version may require something else."""
    try:
        installed = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return ()
    return tuple(map(Requirement, installed.requires or ())) if installed.version == version else ()


def roots(lock: str) -> Iterator[Requirement]:
    """Yield what the checkout itself requires, and what builds it."""
    wanted = [
        *PROJECT["dependencies"],
        *(line for extra in EXTRAS[lock] for line in PROJECT["optional-dependencies"][extra]),
    ]
    wanted += [line for line in (ROOT / "scripts" / "build.in").read_text().splitlines() if not line.startswith("#")]
    yield from map(Requirement, wanted)


def unmet(lock: str, place: Place, locked: dict[str, str]) -> set[str]:
    """Return the packages that are required in a place, and of which a lock has no version that fits."""
    found, seen = set(), set()
    waiting = [(requirement, "") for requirement in roots(lock)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate(place | {"extra": extra}):
            continue
        if name not in locked or not requirement.specifier.contains(locked[name], prereleases=True):
            found.add(name)
            continue
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(one, wanted) for one in required(name, locked[name])]
    return found


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", EXTRAS)
def test_a_lock_has_everything_that_its_packages_require(lock: str, python: str, platform: str) -> None:
    there = place(python, platform)

    assert unmet(lock, there, versions(lock, there)) == set()


@pytest.mark.parametrize("lock", ["core", "gate"])
def test_no_line_of_a_lock_can_be_left_out(lock: str) -> None:
    here = {name: str(value) for name, value in default_environment().items()}
    locked = versions(lock, here)
    if any(not required(name, locked[name]) for name in ("torch", "gymnasium")):
        pytest.skip("other versions than those of the lock are installed")

    for name in locked:
        rest = {other: version for other, version in locked.items() if other != name}
        assert unmet(lock, here, rest) == {name}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_lock_has_all_of_the_ones_before_it(platform: str) -> None:
    core, gate, ray = (versions(lock, place("3.12.1", platform)).items() for lock in EXTRAS)

    assert core <= gate <= ray


@pytest.mark.parametrize("lock", EXTRAS)
def test_every_line_of_a_lock_is_one_version_with_hashes(lock: str) -> None:
    text = (ROOT / "scripts" / "locks" / f"{lock}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)

    assert len(entries) == len(lines(lock))
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==[^ *]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
