"""PPO's mathematics as pure functions of tensors: no networks, no buffers, no devices.

T = steps in the rollout, C = components: one for each group of each step. Tensors are float32 [T] or [C], as each
function states.
"""

import math

import torch
from torch import Tensor


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Estimate advantages with Generalised Advantage Estimation.

        δ_t = r_t + γ(1 − terminated_t)·next_v_t − v_t
        A_t = δ_t + γλ(1 − terminated_t)(1 − truncated_t)·A_{t+1}

    Schulman et al. 2016, https://arxiv.org/abs/1506.02438.

    Args:
        reward: reward of each step [T].
        value: value of the state in which step t acts [T].
        next_value: value of the state that step t *reaches*, also if t ends an episode [T].
        terminated: 1 if the episode is over, so that no reward follows [T].
        truncated: 1 if the episode was cut off, so that its value still counts [T].
        gamma: discount per environment step, in [0, 1].
        gae_lambda: 0 to trust only the critic, 1 to trust only the rewards, in [0, 1].

    Returns:
        Advantages [T], not normalised.

    Raises:
        ValueError: the five tensors do not have one shape.
    """
    shapes = {tuple(tensor.shape) for tensor in (reward, value, next_value, terminated, truncated)}
    if len(shapes) != 1:
        raise ValueError(f"gae() needs five tensors of one shape, got {sorted(shapes)}.")
    alive = 1 - terminated.to(reward)
    delta = reward + gamma * alive * next_value - value
    carry = gamma * gae_lambda * alive * (1 - truncated.to(reward))
    advantage = torch.empty_like(delta)
    following = torch.zeros_like(delta[:0].sum())
    for t in range(len(delta) - 1, -1, -1):
        following = delta[t] + carry[t] * following
        advantage[t] = following
    return advantage


def relative_advantage(reward: Tensor) -> Tensor:
    """Compare each one-step episode with the others, from their rewards [T].

        A_t = (r_t − mean_{s ≠ t} r_s) / σ

    σ is the sample standard deviation of the rewards. This is the leave-one-out baseline of Kool et al. 2019,
    https://openreview.net/forum?id=r1lgTGL5DE, which needs no critic.

    Returns:
        Advantages [T]; 0 if there is one step or all rewards are equal.
    """
    # In float32 the mean of equal rewards differs from them, and the division by σ would enlarge that to ±1.
    exact = reward.double()
    size, others = len(exact), max(len(exact) - 1, 1)
    centred = exact - exact.sum() / size
    std = (centred.square().sum() / others).sqrt()
    return (centred * (size / others) / (std + 1e-8)).to(reward.dtype)


def gaussian_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return log N(a; μ, σ²) = −½((a − μ)/σ)² − log σ − ½ log 2π of each component [C]."""
    return -0.5 * ((action - mean) * torch.exp(-log_std)).square() - log_std - 0.5 * math.log(2 * math.pi)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Return ½ + ½ log 2π + log σ, the entropy of each component, in the shape of `log_std`."""
    return 0.5 + 0.5 * math.log(2 * math.pi) + log_std


def clipped_surrogate(log_prob_new: Tensor, log_prob_old: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """Return PPO's policy loss with one ratio for each component.

        ρ_c = π_new(a_c) / π_old(a_c)
        L = −mean_c min(ρ_c A_c, clip(ρ_c, 1 − ε, 1 + ε) A_c)

    Schulman et al. 2017, https://arxiv.org/abs/1707.06347. The ratio is taken for each component because the joint
    ratio of dozens of groups leaves [1 − ε, 1 + ε] after one gradient step, and then its gradient is zero.

    Args:
        log_prob_new: log-probability under the policy that is trained [C].
        log_prob_old: log-probability under the policy that acted [C].
        advantage: advantage of the step that each component belongs to [C].
        clip_range: ε.
    """
    ratio = torch.exp(log_prob_new - log_prob_old)
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip_range, 1 + clip_range) * advantage).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Return the critic's loss ½ mean_t (v_t − target_t)²."""
    return 0.5 * (value - target).square().mean()


def approximate_kl(log_prob_new: Tensor, log_prob_old: Tensor) -> Tensor:
    """Estimate KL(π_old ‖ π_new) per component as mean_c (ρ_c − 1 − log ρ_c), which is never negative.

    Schulman 2020, http://joschu.net/blog/kl-approx.html.
    """
    log_ratio = log_prob_new - log_prob_old
    return (torch.expm1(log_ratio) - log_ratio).mean()
