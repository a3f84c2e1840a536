"""Runs that survive: a directory with settings, a journal of judged plans, snapshots, and a lock."""

from gnnrl.errors import GnnrlWarning


class RunWarning(GnnrlWarning):
    """A run was mended, or may differ from what it would have been; nothing needs to be done."""
