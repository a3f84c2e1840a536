"""The laws of scheduling, on workers that only a random number generator moves."""

import random
from collections import Counter
from concurrent.futures import BrokenExecutor, Future, wait
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrl.errors import ConfigError, EvaluationError, ResourceError
from gnnrl.executors.scheduling import Patience, Scheduler
from gnnrl.executors.worker import Failure, Outcome
from gnnrl.scoring.plans import Scored, Seconds

PLANS = [(number,) for number in range(9)]


class Simulated:
    """Workers whose evaluations take one tick of the clock, or as many as a plan is told to take on its first tries."""

    def __init__(self, seed: int = 0, dying: float = 0.0, slow: dict[int, list[float]] | None = None) -> None:
        self.rng, self.dying, self.slow = random.Random(seed), dying, slow or {}
        self.now, self.hired, self.most = 0.0, 0, 0
        self.begun: Counter[int] = Counter()
        self.workers: list[SimulatedWorker] = []

    def hire(self) -> tuple["SimulatedWorker", Future[None]]:
        self.hired += 1
        self.workers.append(SimulatedWorker(self))
        self.most = max(self.most, len(self.workers))
        loaded: Future[None] = Future()
        loaded.set_result(None)
        return self.workers[-1], loaded

    def answer(self, plan: int) -> Outcome:
        return Scored(float(plan), 0, 1.0, Seconds())

    def wait(self, tasks: list[Future[Any]], seconds: float, when: str) -> Any:
        self.now += seconds
        ready = [worker for worker in self.workers if worker.work is not None and worker.work[1] <= self.now]
        self.rng.shuffle(ready)
        for worker in ready:
            assert worker.work is not None
            plan, _, future = worker.work
            worker.work = None
            if self.rng.random() < self.dying:
                future.set_exception(BrokenExecutor())
            else:
                future.set_result(self.answer(plan))
        return wait(tasks, 0, when)


class SimulatedWorker:
    def __init__(self, crew: Simulated) -> None:
        self.crew, self.is_dead = crew, False
        self.work: tuple[int, float, Future[Outcome]] | None = None

    def submit(self, function: object, plan: tuple[int, ...]) -> Future[Outcome]:
        assert self.work is None
        if self.is_dead:
            raise BrokenExecutor
        tries, begun = self.crew.slow.get(plan[0], []), self.crew.begun[plan[0]]
        needed = tries[begun] if begun < len(tries) else 1.0
        self.crew.begun[plan[0]] += 1
        self.work = (plan[0], self.crew.now + needed, Future())
        return self.work[2]

    def end(self, error: BaseException | None = None) -> str:
        self.crew.workers.remove(self)
        return "bad luck"


def scheduled(crew: Simulated, workers: int = 3, **patience) -> Scheduler:
    return Scheduler(crew.hire, workers, Patience(**patience), clock=lambda: crew.now, wait=crew.wait)


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
    answer = crew.answer
    crew.answer = lambda plan: Failure(ValueError("no"), "where") if plan == 1 else answer(plan)
    found = scheduled(crew).map(PLANS[:3])
    assert next(found).score == 0.0
    with pytest.raises(ValueError, match="no") as raised:
        next(found)
    assert "where" in str(raised.value.__cause__)


def test_a_worker_that_is_lost_while_it_is_idle_costs_no_plan_a_try() -> None:
    crew = Simulated()
    found = scheduled(crew, 2, retries=0)
    list(found.map(PLANS[:2]))
    for worker in crew.workers:
        worker.is_dead = True

    assert [judgement.score for judgement in found.map(PLANS[2:])] == [float(number) for (number,) in PLANS[2:]]
    assert crew.hired == 4
    assert set(crew.begun.values()) == {1}


def test_a_closed_scheduler_has_ended_every_worker() -> None:
    crew = Simulated(slow={1: [1000.0]})
    found = scheduled(crew, 3)
    next(found.map(PLANS))
    found.close()

    assert crew.hired == 3
    assert crew.workers == []


class Stillborn(Simulated):
    def hire(self) -> tuple[SimulatedWorker, Future[None]]:
        worker, _ = super().hire()
        loaded: Future[None] = Future()
        loaded.set_exception(BrokenExecutor())
        return worker, loaded


def test_workers_that_never_begin_are_not_hired_for_ever() -> None:
    crew = Stillborn()

    with pytest.raises(ResourceError, match=r"before they begin \(bad luck\).*__main__"):
        list(scheduled(crew, 1, retries=2).map(PLANS))
    assert crew.hired == 3


@pytest.mark.parametrize("wrong", [{"timeout": 0.0}, {"retries": -1}, {"straggler": 1.0}])
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match="timeout must be positive"):
        Patience(**wrong)
    with pytest.raises(ConfigError, match="at least one worker"):
        scheduled(Simulated(), 0)
