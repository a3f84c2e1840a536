"""Worker processes of this machine: their output, signals, and what cannot be sent to them."""

import os
import signal
from pathlib import Path

import pytest
from torch import nn

from gnnrl.errors import ConfigError, EvaluationError
from gnnrl.executors.process import ProcessExecutor
from tests.executors.children import children, is_worker
from tests.executors.plans import HANGS, Moody, judge, scores


def test_prints_of_processes_reach_the_stderr_of_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    """That of Python, not the terminal itself, where a stage may be shown live."""
    with ProcessExecutor(workers=1) as executor:
        executor.start(judge(print))
        with pytest.raises(EvaluationError):
            scores(executor, (1, 3))
    told = capsys.readouterr()
    assert (told.out, "(conv1): Sequential" in told.err) == ("", True), told.err


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_one_worker_that_ctrl_c_does_not_reach_and_that_ends_with_its_executor(tmp_path: Path) -> None:
    before = children()
    with ProcessExecutor(1, timeout=6.0, retries=0) as executor:
        executor.start(judge(Moody(tmp_path)))
        assert scores(executor, (3, 5)) == [5.0]
        begun = children() - before
        for process in begun:
            os.kill(process, signal.SIGINT)
        assert scores(executor, (4, 1), (1, 12)) == [1.0, 12.0]
        with pytest.raises(EvaluationError, match=r"widths \[12, 1, 3\].*may take 6 s and took longer"):
            scores(executor, (HANGS, 1))
        list(zip(range(1), executor.map([(2, 2, 2), (HANGS, 2, 2)]), strict=False))
    assert begun
    assert not [process for process in children() - before if is_worker(process)]


def test_a_network_of_this_module_only_is_refused_before_it_is_sent() -> None:
    class Inner(nn.Module):
        pass

    with ProcessExecutor(1) as executor, pytest.raises(ConfigError, match="Inner"):
        executor.start(judge(Inner))
