"""`python -m gnnrl` is `gnnrl`."""

from gnnrl.cli.app import main

if __name__ == "__main__":
    main()
