"""The laws of scheduling, on workers that only a random number generator moves."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrl.errors import ConfigError, EvaluationError, ResourceError
from gnnrl.executors.outcome import Failure
from gnnrl.executors.scheduling import Answer, Event, Lost, Patience, Ready, Scheduler
from gnnrl.scoring.plans import Judgement, Seconds

PLANS = [(number,) for number in range(9)]


class Simulated:
    """Workers whose evaluations take one tick of the clock, or as many as a plan is told to take on its first tries."""

    def __init__(self, seed: int = 0, dying: float = 0.0, slow: dict[int, list[float]] | None = None) -> None:
        self.rng, self.dying, self.slow = random.Random(seed), dying, slow or {}
        self.now, self.hired, self.most = 0.0, 0, 0
        self.begun: Counter[int] = Counter()
        self.workers: dict[int, tuple[int, float] | None] = {}
        self.events: list[Event] = []

    def hire(self) -> int:
        self.hired += 1
        self.workers[self.hired] = None
        self.most = max(self.most, len(self.workers))
        self.events.append(Ready(self.hired))
        return self.hired

    def send(self, worker: int, plan: tuple[int, ...]) -> None:
        assert self.workers[worker] is None
        tries = self.slow.get(plan[0], [])
        needed = tries[self.begun[plan[0]]] if self.begun[plan[0]] < len(tries) else 1.0
        self.begun[plan[0]] += 1
        self.workers[worker] = (plan[0], self.now + needed)

    def wait(self, seconds: float) -> list[Event]:
        self.now += seconds
        found, self.events = self.events, []
        ready = [worker for worker, work in self.workers.items() if work is not None and work[1] <= self.now]
        self.rng.shuffle(ready)
        for worker in ready:
            work = self.workers[worker]
            assert work is not None
            if self.rng.random() < self.dying:
                del self.workers[worker]
                found.append(Lost(worker, "bad luck"))
            else:
                self.workers[worker] = None
                found.append(Answer(worker, Judgement(float(work[0]), 0, 1.0, Seconds())))
        return found

    def dismiss(self, worker: int) -> None:
        del self.workers[worker]

    def close(self) -> None:
        self.workers.clear()


def scheduled(crew: Simulated, workers: int = 3, **patience) -> Scheduler:
    return Scheduler(crew, workers, Patience(**patience), clock=lambda: crew.now)


@given(seed=st.integers(0, 99), workers=st.integers(1, 12), dying=st.sampled_from([0.0, 0.3]))
def test_answers_come_in_the_order_of_the_plans_whatever_happens(seed: int, workers: int, dying: float) -> None:
    crew = Simulated(seed, dying, {number: [float(number % 4)] for (number,) in PLANS})
    found = scheduled(crew, workers, retries=99, straggler=None)

    for batch in (PLANS[:7], PLANS[7:], []):
        assert [judgement.score for judgement in found.map(batch)] == [float(number) for (number,) in batch]
    assert crew.most <= min(workers, 7)
    if not dying:
        assert set(crew.begun.values()) == {1}


def test_only_as_many_are_hired_as_there_is_work_for() -> None:
    crew = Simulated()
    found = scheduled(crew, 8)
    list(found.map(PLANS[:2]))
    list(found.map(PLANS[2:5]))

    assert crew.hired == 3


def test_a_plan_that_loses_its_worker_each_time_is_named() -> None:
    crew = Simulated(dying=1.0)

    with pytest.raises(
        EvaluationError, match=r"widths \[0\] could not be judged: 3 workers were lost at it \(bad luck"
    ):
        list(scheduled(crew, 1, retries=2).map(PLANS[:1]))
    assert crew.begun[0] == 3


def test_a_late_plan_is_given_to_an_idle_worker_and_the_first_answer_wins() -> None:
    crew = Simulated(slow={4: [1000.0, 2.0]})
    found = scheduled(crew, 2)

    assert [judgement.score for judgement in found.map(PLANS[:5])] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert crew.now < 20
    assert crew.begun == {0: 1, 1: 1, 2: 1, 3: 1, 4: 2}


def test_a_worker_that_nobody_waits_for_any_more_makes_room_for_the_next_plans() -> None:
    crew = Simulated(slow={4: [1000.0]})
    found = scheduled(crew, 2)
    list(found.map(PLANS[:5]))
    list(found.map(PLANS[5:]))

    assert crew.hired == 3
    assert len(crew.workers) == 2


def test_an_evaluation_that_hangs_is_ended_and_repeated() -> None:
    crew = Simulated(slow={0: [1000.0]})

    assert [judgement.score for judgement in scheduled(crew, 1, timeout=5.0).map(PLANS[:2])] == [0.0, 1.0]
    assert crew.begun == {0: 2, 1: 1}
    with pytest.raises(EvaluationError, match=r"may take 0\.5 s and took longer"):
        list(scheduled(Simulated(), 1, timeout=0.5, retries=0).map(PLANS))


def test_a_failure_is_raised_when_all_before_it_are_there() -> None:
    crew = Simulated(slow={0: [9.0]})
    crew_wait = crew.wait

    def wait(seconds: float) -> list[Event]:
        events = crew_wait(seconds)
        return [
            Answer(event.worker, Failure(ValueError("no"), "where"))
            if isinstance(event, Answer) and event.outcome.score == 1.0
            else event
            for event in events
        ]

    crew.wait = wait
    found = scheduled(crew).map(PLANS[:3])
    assert next(found).score == 0.0
    with pytest.raises(ValueError, match="no") as raised:
        next(found)
    assert "where" in str(raised.value.__cause__)


def test_workers_that_never_begin_are_not_hired_for_ever() -> None:
    crew = Simulated()
    crew.wait = lambda seconds: [Lost(worker, "exit code 1") for worker in list(crew.workers)]

    with pytest.raises(ResourceError, match=r"before they begin \(exit code 1\).*__main__"):
        list(scheduled(crew, 1).map(PLANS))


@pytest.mark.parametrize("wrong", [{"timeout": 0.0}, {"retries": -1}, {"straggler": 1.0}])
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match="timeout must be positive"):
        Patience(**wrong)
    with pytest.raises(ConfigError, match="at least one worker"):
        scheduled(Simulated(), 0)
