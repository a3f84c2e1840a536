"""Runs that can be interrupted and resumed: a directory with settings, a journal, snapshots and a lock."""
