from gnnrl.report.tensorboard import log_trials
from tests.report.results import result


def test_a_search_is_written_to_tensorboard() -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

    log = log_trials(Writer(), "digits")
    for trial in result().history:
        log(trial)

    scores = [trial.score for trial in result().history]
    assert [value for tag, value, _ in written if tag == "digits/score"] == scores
    assert [value for tag, value, _ in written if tag == "digits/best"] == [max(scores[: n + 1]) for n in range(12)]
    assert [step for tag, _, step in written if tag == "digits/macs"] == list(range(12))
