import pytest
import torch
from torch.distributions import Normal

from gnnrl.agent.losses import (
    approximate_kl,
    clipped_surrogate,
    gae,
    gaussian_entropy,
    gaussian_log_prob,
    relative_advantage,
    value_loss,
)


def test_gae_by_hand() -> None:
    """γ = λ = ½: δ = (1 + ½·4 − 2, 0 + ½·6 − 4, 8 − 6) = (1, −1, 2), and a quarter of what follows is added."""
    advantage = gae(
        torch.tensor([1.0, 0.0, 8.0]),
        torch.tensor([2.0, 4.0, 6.0]),
        torch.tensor([4.0, 6.0, 99.0]),
        torch.tensor([False, False, True]),
        torch.tensor([False, False, False]),
        gamma=0.5,
        gae_lambda=0.5,
    )
    assert advantage.tolist() == [0.875, -0.5, 2.0]


def test_gae_at_the_end_of_an_episode_bootstraps_only_where_it_was_cut_off() -> None:
    """Two one-step episodes, then an unfinished one: nothing leaks from an episode into the one before."""
    advantage = gae(
        torch.tensor([1.0, 1.0, 1.0]),
        torch.zeros(3),
        torch.tensor([10.0, 10.0, 10.0]),
        torch.tensor([True, False, False]),
        torch.tensor([False, True, False]),
        gamma=1.0,
        gae_lambda=1.0,
    )
    assert advantage.tolist() == [1.0, 11.0, 11.0]


def test_gae_with_lambda_one_is_the_return_minus_the_value() -> None:
    reward, value = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.25, 4.0])
    advantage = gae(
        reward,
        value,
        torch.tensor([0.25, 4.0, 7.0]),
        torch.tensor([0.0, 0.0, 1.0]),
        torch.zeros(3),
        gamma=1.0,
        gae_lambda=1.0,
    )
    assert torch.equal(advantage + value, torch.tensor([6.0, 5.0, 3.0]))


def test_gae_refuses_shapes_that_differ() -> None:
    three = torch.zeros(3)
    with pytest.raises(ValueError, match="one shape"):
        gae(three, three, three, three, torch.zeros(2), gamma=1.0, gae_lambda=1.0)


def test_relative_advantage_by_hand() -> None:
    """Rewards 1, 2, 3: leaving one out, the others average 2.5, 2, 1.5; their standard deviation is 1."""
    advantage = relative_advantage(torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(advantage, torch.tensor([-1.5, 0.0, 1.5]))


def test_relative_advantage_of_equal_or_lonely_rewards_is_zero() -> None:
    assert relative_advantage(torch.tensor([0.7, 0.7, 0.7])).abs().max() < 1e-6
    assert relative_advantage(torch.tensor([0.1])).tolist() == [0.0]


def test_relative_advantage_does_not_depend_on_scale_or_offset() -> None:
    reward = torch.randn(10)
    torch.testing.assert_close(relative_advantage(100 * reward + 7), relative_advantage(reward), rtol=1e-4, atol=1e-4)


def test_gaussians_agree_with_torch() -> None:
    action, mean, log_std = torch.randn(3, 20)
    normal = Normal(mean, log_std.exp())
    torch.testing.assert_close(gaussian_log_prob(action, mean, log_std), normal.log_prob(action))
    torch.testing.assert_close(gaussian_entropy(log_std), normal.entropy())


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [(1.1, 1.0, -1.1), (1.5, 1.0, -1.2), (0.5, 1.0, -0.5), (0.5, -1.0, 0.8), (1.5, -1.0, 1.5)],
)
def test_clipped_surrogate_is_pessimistic(ratio: float, advantage: float, loss: float) -> None:
    """Clipped only where the ratio has moved in the direction that the advantage asks for."""
    found = clipped_surrogate(torch.tensor([ratio]).log(), torch.zeros(1), torch.tensor([advantage]), 0.2)
    assert found.item() == pytest.approx(loss)


def test_value_loss_by_hand() -> None:
    assert value_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0])).item() == 1.0


def test_approximate_kl_agrees_with_the_exact_one() -> None:
    old, new = Normal(0.0, 1.0), Normal(0.1, 1.1)
    action = old.sample((200_000,))
    estimate = approximate_kl(new.log_prob(action), old.log_prob(action))
    exact = torch.distributions.kl_divergence(old, new)
    assert estimate.item() == pytest.approx(exact.item(), rel=0.05)
