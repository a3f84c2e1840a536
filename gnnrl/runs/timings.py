"""The measured times of a run in its journal: a resumed run with a limit on latency uses the times measured first.

{"kind":"times","of":"layers 1f0c…","seconds":[...]}      layers alone
{"kind":"times","of":"plans 77ab…","seconds":[...]}       whole networks
"""

import math
from collections.abc import Sequence

from gnnrl.latency.ledger import Ledger, Measured
from gnnrl.runs.directory import TIMES, RunDirectory
from gnnrl.storage.journal import Journal, Record


def ledger_of(run: RunDirectory | None, first: Sequence[Measured] = ()) -> Ledger:
    """Return the ledger of a run, which is kept in its journal; without a run, a ledger that is not kept.

    Times that were measured before the run was started, `first`, are recorded if it has no times.
    """
    if run is None:
        return Ledger()
    journal = run.journal

    def keep(measured: Measured) -> None:
        journal.append(TIMES, of=measured.of, seconds=list(measured.seconds))

    known = read_times(journal)
    if not known:
        for measured in first:
            keep(measured)
    return Ledger([*(known or first)], keep)


def read_times(journal: Journal) -> list[Measured]:
    """Return all measured times of a journal; raise ArtifactError if an entry is not a list of times."""
    return [measured for _, measured in journal.parsed(TIMES, _measured)]


def _measured(record: Record) -> Measured:
    of, seconds = record["of"], record["seconds"]
    if not isinstance(of, str) or not isinstance(seconds, list) or not seconds:
        raise ValueError("times need a name and a list of seconds")
    if not all(type(value) in (int, float) and math.isfinite(value) and value > 0 for value in seconds):
        raise ValueError("seconds must be positive and finite")
    return Measured(of, tuple(map(float, seconds)))
