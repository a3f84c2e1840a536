"""The command line: one small module a command, and nothing heavy imported before a command runs."""

from gnnrl.cli.application import main

__all__ = ["main"]
