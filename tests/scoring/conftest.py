"""The problem of `tests.scoring.blobs`, for all tests of scoring."""

from tests.scoring.blobs import blobs, classifier

__all__ = ["blobs", "classifier"]
