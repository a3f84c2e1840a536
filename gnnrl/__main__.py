"""`python -m gnnrl` is `gnnrl`."""

from gnnrl.cli.application import main

if __name__ == "__main__":
    main()
