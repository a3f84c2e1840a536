import pytest
import torch

from gnnrl.agent.policy import Decision
from gnnrl.agent.rollout import Rollout, Step
from tests.agent.problems import chain


def step(reward: float, *, num_groups: int = 2, terminated: bool = True, value: float = 0.0) -> Step:
    action = torch.full((num_groups,), reward)
    return Step(chain(num_groups), Decision(action, action - 1, value), reward, terminated, next_value=3.0)


def test_every_step_is_yielded_once_with_its_own_numbers() -> None:
    rollout = Rollout([step(float(i), num_groups=2 + i % 3) for i in range(7)])
    target = torch.arange(7.0)
    seen = []
    for minibatch in rollout.minibatches(target * 10, target, 3, torch.Generator().manual_seed(0)):
        expected = minibatch.value_target[minibatch.observations.group_observation]
        assert torch.equal(minibatch.action, expected)
        assert torch.equal(minibatch.log_prob, expected - 1)
        assert torch.equal(minibatch.advantage, expected * 10)
        seen += minibatch.value_target.tolist()
    assert sorted(seen) == list(range(7))


def test_the_generator_decides_the_order() -> None:
    rollout, target = Rollout([step(float(i)) for i in range(8)]), torch.arange(8.0)

    def order(seed: int) -> list[float]:
        generator = torch.Generator().manual_seed(seed)
        return [m.value_target.item() for m in rollout.minibatches(target, target, 1, generator)]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_one_step_episodes_are_compared_with_each_other() -> None:
    advantage, target = Rollout([step(1.0), step(2.0)]).advantages(gamma=1.0, gae_lambda=0.95)
    torch.testing.assert_close(advantage, torch.tensor([-1.0, 1.0]) * 2**0.5)
    assert target.tolist() == [1.0, 2.0]


def test_a_plan_without_another_to_compare_it_with_needs_the_critic() -> None:
    rollout = Rollout([step(5.0, value=3.0)])
    assert not rollout.is_relative
    advantage, target = rollout.advantages(gamma=1.0, gae_lambda=0.95)
    assert (advantage.tolist(), target.tolist()) == ([0.0], [5.0])


def test_longer_episodes_are_judged_by_gae() -> None:
    """δ = (0 + 3 − 1, 5 − 1) = (2, 4); with λ = 1 the advantages are 6 and 4, the targets 7 and 5."""
    rollout = Rollout([step(0.0, terminated=False, value=1.0), step(5.0, value=1.0)])
    advantage, target = rollout.advantages(gamma=1.0, gae_lambda=1.0)
    assert advantage.tolist() == pytest.approx([1.0, -1.0])
    assert target.tolist() == [7.0, 5.0]


def test_a_step_that_does_not_fit_its_observation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[2\], got \[3\] and \[2\]"):
        Rollout().add(Step(chain(2), Decision(torch.zeros(3), torch.zeros(2), 0.0), 1.0, True))
