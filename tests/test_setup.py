"""scripts/setup installs what a lock says and nothing else, or fails. Tried on a small checkout, without a network."""

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
ENVIRONMENT = runpy.run_path(str(SCRIPTS / "environment.py"))
BACKEND = """
import zipfile

def build_editable(folder, settings=None, metadata=None):
    info, about = "gnnrl_compress-0.dist-info", "Metadata-Version: 2.1\\nName: gnnrl-compress\\nVersion: 0\\n"
    with zipfile.ZipFile(f"{folder}/gnnrl_compress-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", about + "Requires-Dist: alpha\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "gnnrl_compress-0-py3-none-any.whl"
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "gnnrl-compress"
version = "0"
"""


def write_wheel(folder: Path, name: str, version: str, *requirements: str) -> str:
    """Write a wheel of one empty module, and return its line of a lock."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    wanted = "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f'VERSION = "{version}"\n')
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: fast\n{wanted}"
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Checkout:
    """A checkout with the real scripts/setup, in a folder with a space, whose project needs three packages."""

    def __init__(self, folder: Path) -> None:
        self.root, self.wheels, self.home = folder / "a checkout", folder / "wheels", folder / "home"
        for made in (self.root / "scripts" / "locks", self.wheels, self.home):
            made.mkdir(parents=True)
        for script in ("setup", "environment.py"):
            shutil.copy(SCRIPTS / script, self.root / "scripts")
        (self.root / "backend.py").write_text(BACKEND)
        (self.root / "pyproject.toml").write_text(PROJECT)
        self.lock = {
            "alpha": write_wheel(self.wheels, "alpha", "1", "beta[fast]>=1"),
            "beta": write_wheel(self.wheels, "beta", "1", "gamma; extra == 'fast'"),
            "gamma": write_wheel(self.wheels, "gamma", "1"),
        }
        for name in self.lock:  # published since
            write_wheel(self.wheels, name, "2")

    def install(self, *missing: str, call: str = "install core", **settings: str) -> subprocess.CompletedProcess[str]:
        """Install the lock without some of its lines."""
        kept = [line for name, line in self.lock.items() if name not in missing]
        (self.root / "scripts" / "locks" / "core.txt").write_text("".join(kept))
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHON": sys.executable} | settings
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail; source '{self.root}/scripts/setup'; {call}"],
            env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        """Return the versions of the three packages in the environment."""
        show = "import alpha, beta, gamma; print(alpha.VERSION, beta.VERSION, gamma.VERSION)"
        python = [str(self.root / ".venv" / "bin" / "python"), "-I", "-c", show]
        return dict(
            zip(
                self.lock,
                subprocess.run(python, capture_output=True, text=True, check=True).stdout.split(),
                strict=True,
            )
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_lock_installs_as_it_stands_or_not_at_all(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("alpha>=2\n")
    hostile = {"PIP_TARGET": str(tmp_path / "elsewhere"), "PIP_CONSTRAINT": str(tmp_path / "limits.txt")}
    hostile |= {"PIP_USER": "1", "PIP_PRE": "1", "PYTHONPATH": str(tmp_path / "other")}
    with zipfile.ZipFile(checkout.wheels / "gamma-1-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path / "other")
    (checkout.root / ".venv" / "bin").mkdir(parents=True)  # half-made: it has no Python

    locked, checkout.lock["alpha"] = checkout.lock["alpha"], checkout.lock["alpha"][:-65] + "0" * 64
    changed = checkout.install(**hostile)
    assert changed.returncode != 0
    assert "DO NOT MATCH THE HASHES" in changed.stderr

    checkout.lock["alpha"] = locked
    incomplete = checkout.install("gamma", **hostile)
    assert incomplete.returncode != 0
    assert "No matching distribution found for gamma" in incomplete.stderr

    complete = checkout.install(**hostile)
    assert complete.returncode == 0, complete.stderr
    assert complete.stdout == ""
    assert checkout.installed() == {"alpha": "1", "beta": "1", "gamma": "1"}
    assert not (tmp_path / "elsewhere").exists()

    again = checkout.install()
    assert (again.returncode, again.stderr) == (0, "")


def test_an_environment_of_another_python_does_not_fit(checkout: Checkout, tmp_path: Path) -> None:
    own = checkout.root / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    other = tmp_path / "python4"
    other.write_text("#!/bin/sh\necho 4.0\n")
    other.chmod(0o755)

    assert checkout.install(call="fits").returncode == 0
    assert checkout.install(call="fits", PYTHON="").returncode == 0
    assert checkout.install(call="fits", PYTHON=str(other)).returncode != 0


def test_a_python_that_was_asked_for_is_not_replaced_by_another(checkout: Checkout) -> None:
    refused = checkout.install(PYTHON="no-such-python")

    assert refused.returncode != 0
    assert "gnnrl needs Python 3.11 or newer, which no-such-python is not" in refused.stderr
    assert not (checkout.root / ".venv").exists()


@pytest.mark.parametrize(
    ("said", "code"), [("No matching distribution found for ray==1", 0), ("THESE PACKAGES DO NOT MATCH THE HASHES", 1)]
)
def test_only_a_platform_without_ray_goes_without_it(checkout: Checkout, said: str, code: int) -> None:
    (checkout.root / ".venv").mkdir()
    stand_ins = f"install() {{ echo '{said}' >&2; return 1; }}; fingerprint() {{ echo now; }}"
    tried = checkout.install(call=f"{stand_ins}; install_ray")

    assert tried.returncode == code
    assert said in tried.stderr
    assert (checkout.root / ".venv" / ".no-ray").exists() == (code == 0)


def test_pip_keeps_the_way_to_the_index_and_loses_all_other_settings() -> None:
    listing = """global.index-url='https://example.org/simple'
:env:.cert='/own.pem'
global.cert='/all.pem'
global.constraint='limits.txt'
install.user='true'
freeze.timeout='1'"""
    variables = {"PATH": "/bin", "PIP_TARGET": "elsewhere", "PYTHONPATH": "more", "HTTPS_PROXY": "http://proxy"}

    assert ENVIRONMENT["pip_environment"](listing, variables) == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
        "PIP_INDEX_URL": "https://example.org/simple",
        "PIP_CERT": "/own.pem",
        "PIP_CONFIG_FILE": os.devnull,
    }


def test_a_package_that_was_installed_in_part_is_found(tmp_path: Path) -> None:
    info = tmp_path / "alpha-1.dist-info"
    info.mkdir()
    package = PathDistribution(info)
    assert not ENVIRONMENT["is_whole"](package)  # no record yet

    (info / "RECORD").write_text("alpha.py,sha256=x,3\n__pycache__/alpha.pyc,,\nalpha-1.dist-info/RECORD,,\n")
    assert not ENVIRONMENT["is_whole"](package)

    (tmp_path / "alpha.py").write_text("a=")
    assert not ENVIRONMENT["is_whole"](package)

    (tmp_path / "alpha.py").write_text("a=1")
    assert ENVIRONMENT["is_whole"](package)
