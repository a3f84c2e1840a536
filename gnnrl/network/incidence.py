"""Counts of units in arrays as a sparse matrix, so that memory does not grow with units times arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array


def incidence(arrays: Sequence[NDArray[np.int64]], units: int) -> csr_array:
    """Count the occurrences of each unit in each array: [units, arrays], with ascending indices in every row."""
    flat = np.concatenate([np.empty(0, np.int64), *arrays])
    array = np.repeat(np.arange(len(arrays)), [len(labels) for labels in arrays])
    found = coo_array((np.ones(len(flat), np.int64), (flat, array)), shape=(units, len(arrays))).tocsr()
    found.sort_indices()
    return found


def equal_rows(matrix: csr_array) -> NDArray[np.int64]:
    """Number the rows [rows] so that two rows have the same number if and only if they are equal."""
    lengths = np.diff(matrix.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    # Compare every row with the one before: if both have one length, their entries are that many positions apart.
    before = np.arange(len(row)) - lengths[row]
    differing = (matrix.indices != matrix.indices[before]) | (matrix.data != matrix.data[before])
    starts = np.bincount(row[differing], minlength=len(lengths)) > 0
    starts |= np.diff(lengths, prepend=-1) != 0
    # Hash only the first row of each run of equal rows, and give its number to the whole run.
    entries = np.stack([matrix.indices, matrix.data], 1)
    known: dict[bytes, int] = {}
    runs = [
        known.setdefault(entries[matrix.indptr[first] : matrix.indptr[first + 1]].tobytes(), len(known))
        for first in np.flatnonzero(starts)
    ]
    return np.array(runs, np.int64)[np.cumsum(starts) - 1] if runs else np.zeros(len(lengths), np.int64)
