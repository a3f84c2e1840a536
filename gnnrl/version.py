"""The version of the package: the only place that states it. The build reads it from here (`pyproject.toml`)."""

__version__ = "0.2.0"
