"""Tracing: a module is exported, labelled, and probed by narrower copies, to make a `Network`."""
