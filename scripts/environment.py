"""Do what scripts/setup needs Python for. The environment's own interpreter runs it, with the standard library alone.

fingerprint FILE...  print a hash of the interpreter and of the files that an environment is made from
check                fail if files of a package are missing, as after an interrupted installation
pip ARGUMENT...      run pip, and take nothing from its configuration but how to reach an index
"""

import ast
import csv
import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

REACH = {
    option
    for options in (
        "index-url extra-index-url no-index find-links keyring-provider no-input use-feature",
        "cert client-cert trusted-host proxy timeout default-timeout retries cache-dir no-cache-dir",
    )
    for option in options.split()
}
"""Settings of pip that say how files are reached. Others (user, target, constraint) say what is installed, or where."""
SECTIONS = ("global", "install", ":env:")
"""Where pip reads the settings of `pip install`; later ones win."""


def fingerprint(files: Iterable[str]) -> str:
    """Return a hash that changes with the interpreter, the names of the files and their contents."""
    made_from = [sys.version.encode(), *(part for name in files for part in (name.encode(), Path(name).read_bytes()))]
    return hashlib.sha256(b"\0".join(made_from)).hexdigest()


def is_whole(package: Distribution) -> bool:
    """Tell whether the files of a package are there, in the sizes that pip recorded (it records none of bytecode)."""
    rows = [*csv.reader((package.read_text("RECORD") or "").splitlines())]
    return bool(rows) and all(
        _has_size(Path(str(package.locate_file(name))), int(size)) for name, _, size in rows if size
    )


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def pip_environment(listing: str, variables: dict[str, str]) -> dict[str, str]:
    """Return variables for pip: those given, and of the configuration that `pip config list` printed only REACH."""
    kept = {name: value for name, value in variables.items() if not name.startswith(("PIP_", "PYTHON"))}
    settings = [line.partition("=")[::2] for line in listing.splitlines()]
    for section in SECTIONS:
        for name, value in settings:
            where, _, option = name.rpartition(".")
            if where == section and option in REACH:
                kept[f"PIP_{option.upper().replace('-', '_')}"] = ast.literal_eval(value)
    return kept | {"PIP_CONFIG_FILE": os.devnull}


def pip(arguments: list[str]) -> int:
    """Become the environment's pip, which sees neither PYTHONPATH nor the current folder; return a code on failure."""
    command = [sys.executable, "-I", "-m", "pip"]
    given = {name: value for name, value in os.environ.items() if name != "PIP_PYTHON"}  # would run another Python
    listed = subprocess.run([*command, "config", "list"], env=given, stdout=subprocess.PIPE, text=True, check=False)
    if not listed.returncode:
        os.execve(sys.executable, [*command, *arguments], pip_environment(listed.stdout, given))
    return listed.returncode


def main(task: str, *arguments: str) -> int:
    """Run one task, and return its exit code."""
    if task == "fingerprint":
        print(fingerprint(arguments))
    elif task == "check":
        return not all(map(is_whole, distributions(path=[sysconfig.get_path("purelib")])))
    elif task == "pip":
        return pip([*arguments])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
