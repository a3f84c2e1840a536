"""The program `gnnrl`, which `python -m gnnrl` is, too."""

import sys

from gnnrl.errors import ConfigError
from gnnrl.imports import beyond_the_core


def main() -> None:
    """Run the command line; never returns."""
    try:
        with beyond_the_core("the command line"):
            from gnnrl.cli.app import main as run
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    run()


if __name__ == "__main__":
    main()
