from collections.abc import Callable

from gnnrl.latency.stopwatch import median_seconds


class Machine:
    """A clock that the calls themselves move on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def maker(self, name: str, seconds: list[float]) -> Callable[[], Callable[[], None]]:
        times = iter(seconds)

        def call() -> None:
            self.log.append(name)
            self.now += next(times)

        return lambda: call


def test_the_median_of_all_timed_calls_without_the_warm_up() -> None:
    machine = Machine()
    makers = [machine.maker("a", [99, 1, 99, 2, 99, 90]), machine.maker("b", [99, 5, 99, 5, 99, 6])]

    assert median_seconds(makers, rounds=3, clock=lambda: machine.now).tolist() == [2.0, 5.0]


def test_calls_take_turns() -> None:
    machine = Machine()
    makers = [machine.maker(name, [1.0] * 6) for name in "ab"]

    median_seconds(makers, rounds=2, repeats=2, clock=lambda: machine.now)

    assert "".join(machine.log) == "aaabbb" * 2
