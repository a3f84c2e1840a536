"""Plans judged here, one after another."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from gnnrl.errors import ConfigError
from gnnrl.evaluation import Judge, Judgement, Widths


class SerialExecutor(AbstractContextManager["SerialExecutor"]):
    """Judges in this process, each plan when its answer is wanted."""

    def __init__(self) -> None:
        self._judge: Judge | None = None

    def start(self, judge: Judge) -> None:
        """Take what all plans from here on are judged with."""
        self._judge = judge

    def map(self, plans: Sequence[Widths]) -> Iterator[Judgement]:
        """Judge plans; see `gnnrl.evaluation.Executor`.

        Raises:
            ConfigError: the executor was not started.
            GnnrlError: a plan could not be judged.
        """
        if self._judge is None:
            raise ConfigError("the executor has to be started before it judges plans")
        return map(self._judge, plans)

    def close(self) -> None:
        """Let go of the judge."""
        self._judge = None

    def __exit__(self, *error: object) -> None:
        self.close()
