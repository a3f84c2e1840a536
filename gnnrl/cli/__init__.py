"""The command line: one small module a command, and nothing heavy imported before a command runs."""
