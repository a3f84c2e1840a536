from typing import Literal

import pytest
import torch
from torch import nn

from gnnrl.agent.batching import ObservationBatch, batch
from gnnrl.agent.policy import ActorCritic, Policy, SharedLogStd
from gnnrl.errors import ConfigError
from tests.agent.problems import chain, permuted


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disturbed(policy: ActorCritic) -> ActorCritic:
    """The same policy after some training: the last layers are no longer zero."""
    generator = seeded(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return policy


@pytest.mark.parametrize("head", ["node", "own"])
def test_the_first_plan_is_the_warm_start(head: Literal["node", "own"]) -> None:
    observation = chain(num_groups=7)
    decision = ActorCritic.build(observation, head=head, seed=5).act(observation, deterministic=True)
    assert decision.action.tolist() == [0.0] * 7


def test_noise_at_the_start_has_the_configured_spread() -> None:
    observation = chain(num_groups=500)
    action = ActorCritic.build(observation, log_std_init=-1.0).act(observation, seeded(0)).action
    assert action.std().log().item() == pytest.approx(-1.0, abs=0.1)


@pytest.mark.parametrize("head", ["node", "own"])
def test_evaluate_agrees_with_act(head: Literal["node", "own"]) -> None:
    observations = [chain(4), chain(4, seed=1), chain(4)]
    policy, generator = disturbed(ActorCritic.build(observations[0], head=head)), seeded(0)
    decisions = [policy.act(observation, generator) for observation in observations]
    now = policy.evaluate(batch(observations), torch.cat([decision.action for decision in decisions]))
    torch.testing.assert_close(now.log_prob, torch.cat([decision.log_prob for decision in decisions]))
    torch.testing.assert_close(now.value, torch.tensor([decision.value for decision in decisions]))
    assert now.entropy.shape == now.log_prob.shape


def test_one_policy_serves_networks_of_any_size() -> None:
    policy = disturbed(ActorCritic.build(chain(3)))
    for size in (1, 3, 40):
        assert policy.act(chain(size, num_motifs=1)).action.shape == (size,)


def test_groups_are_decided_about_in_their_own_order() -> None:
    observation, policy = chain(num_groups=5), disturbed(ActorCritic.build(chain(5)))
    moved = permuted(observation, torch.randperm(10))
    torch.testing.assert_close(
        policy.act(moved, deterministic=True).action, policy.act(observation, deterministic=True).action
    )


def test_a_policy_with_offsets_refuses_another_network() -> None:
    with pytest.raises(ConfigError, match="decides about 4 groups, but the network has 6"):
        ActorCritic.build(chain(4), head="own").act(chain(6))


def test_the_same_seed_gives_the_same_policy_and_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    first, second = (ActorCritic.build(chain(), seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_actor_and_critic_share_nothing() -> None:
    policy = ActorCritic.build(chain())
    assert not {id(p) for p in policy.actor.parameters()} & {id(p) for p in policy.critic.parameters()}


def test_log_std_never_falls_below_its_floor_and_can_rise_again() -> None:
    shared = SharedLogStd(-1.0, floor=-2.0)
    with torch.no_grad():
        shared.raw.fill_(-10.0)
    log_std = shared()
    log_std.backward()
    assert log_std.item() >= -2.0
    assert shared.raw.grad is not None
    assert shared.raw.grad > 0


def test_a_start_below_the_floor_is_refused() -> None:
    with pytest.raises(ConfigError, match="above the floor"):
        SharedLogStd(-5.0, floor=-4.0)


class OwnActor(nn.Module):
    """What a user would write: a linear map of the groups' features."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, 1)

    def forward(self, batch: ObservationBatch) -> torch.Tensor:
        mean: torch.Tensor = self.linear(batch.x[batch.group_nodes])
        return mean.squeeze(1)


class OwnCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(2.0))

    def forward(self, batch: ObservationBatch) -> torch.Tensor:
        return self.level.expand(len(batch))


def test_users_bring_their_own_actor_and_critic() -> None:
    policy: Policy = ActorCritic(OwnActor(), OwnCritic())
    decision = policy.act(chain(6))
    assert decision.action.shape == (6,)
    assert decision.value == 2.0
