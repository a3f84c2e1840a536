from typing import Any

from gnnrl.cli.console import Narrator
from gnnrl.cli.follower import Follower, show_score
from gnnrl.scoring.plans import Trial


class Told(Narrator):
    """Keeps all that is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, *stage: str) -> None:
        self.told.append(stage)

    def note(self, text: str) -> None:
        self.told.append((text,))

    def advance(self, done: int, total: int, note: str = "") -> None:
        self.told.append((done, total, note))


def trial(number: int, score: float) -> Trial:
    return Trial(number, (3,), score, 10, 0.1)


def test_the_best_plan_so_far_is_shown_and_an_early_end_is_told() -> None:
    narrator = Told()
    follower = Follower(narrator, "loss", 5, None)
    follower.begin("search")
    for number, score in enumerate((-0.5, -0.25, -0.75)):
        follower.judged(trial(number, score))
    follower.begin("verify")

    assert narrator.told == [
        ("searching", "plans"),
        (1, 5, "best loss 0.5000"),
        (2, 5, "best loss 0.2500"),
        (3, 5, "best loss 0.2500"),
        ("ended after 3 of 5 plans: it proposes only known ones",),
        ("verifying", ""),
    ]


def test_runs_of_a_comparison_are_stages_of_their_own() -> None:
    narrator = Told()
    follower = Follower(narrator, "top1", 1, None)
    follower.begin("ppo, seed 0")
    follower.judged(trial(0, 0.5))
    follower.begin("random, seed 0")
    follower.judged(trial(0, 0.25))

    assert narrator.told[1::2] == [(1, 1, "best top-1 50.00%"), (1, 1, "best top-1 25.00%")]


def test_rewards_are_shown_as_people_know_them() -> None:
    assert [show_score("top1", 0.9134), show_score("kl", -0.5)] == ["top-1 91.34%", "kl 0.5000"]
