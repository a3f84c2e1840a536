"""Runs that survive: a directory with settings, a journal of judged plans, snapshots, and a lock."""
