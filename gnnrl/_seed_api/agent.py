"""The paper's agent: PPO with one probability ratio for each step, for any actor-critic with `act` and `evaluate`.

T = steps of finished episodes, A = numbers in an action.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl._seed_api.networks import ENTRIES, ActorCritic, Memory
from gnnrl.agent.losses import approximate_kl, clipped_surrogate, gae, value_loss
from gnnrl.agent.ppo import Losses, PPOStats, check_first_ratio, statistics
from gnnrl.errors import ConfigError

ENTROPY_COEF = 0.01
MAX_GRAD_NORM = 0.5
_REMEDY = (
    "The policy has a random part (dropout), or the memory has steps from before an update: call clear_memory() after "
    "each update."
)


class Agent:
    """Agent that acts with `policy_old` and trains `policy`.

        agent = Agent(state_dim=30, action_dim=env.action_dim)
        action = agent.select_action(state, memory)
        agent.update(memory)

    Any module can be the actor-critic. `act(state, memory)` appends the state, the action and its log-probability to
    the memory, and returns the action. `evaluate(states, actions)` returns log-probabilities, values and entropies of a
    list of states. Give the class as `actor_critic`, or assign a module to `policy`, which also resets the optimizer.
    Policies stay in evaluation mode, because dropout would change the probability of an action from call to call.

    Args:
        state_dim: features of a node of the state, the environment's `g_in_size`.
        action_dim: numbers in an action, the environment's `action_dim`.
        action_std: standard deviation of every number of the action.
        lr: step size of Adam.
        betas: Adam's decay rates.
        gamma: discount per step.
        K_epochs: gradient steps in an update, each with all steps of the memory.
        eps_clip: largest change of an action's probability in an update.
        actor_critic: called with (state_dim, action_dim, action_std).
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        action_std: float = 0.5,
        lr: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        gamma: float = 0.99,
        K_epochs: int = 10,
        eps_clip: float = 0.2,
        *,
        actor_critic: Callable[[int, int, float], nn.Module] = ActorCritic,
    ) -> None:
        _check(action_dim, action_std, K_epochs, gamma, eps_clip)
        self.lr = lr
        self.betas = betas
        self.gamma = gamma
        self.K_epochs = K_epochs
        self.eps_clip = eps_clip
        self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        self.policy = actor_critic(state_dim, action_dim, action_std)

    @property
    def policy(self) -> Any:
        """Trained actor-critic."""
        return self._policy

    @policy.setter
    def policy(self, policy: nn.Module) -> None:
        self._policy: Any = policy.to(self.device).eval()
        self.policy_old: Any = copy.deepcopy(self._policy)
        trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=self.lr, betas=self.betas)

    @torch.no_grad()
    def select_action(self, state: Any, memory: Memory) -> NDArray[np.float32]:
        """Draw an action [A] in a state, and append it to the memory."""
        action: Tensor = self.policy_old.act(state, memory)
        return action.cpu().numpy().flatten()

    def update(self, memory: Memory) -> PPOStats:
        """Improve the policy with all steps of the memory's finished episodes.

            L = −mean_t min(ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t) + ½ mean_t (v_t − R_t)² − 0.01 mean_t H_t

        R_t is the discounted sum of the rewards to the end of the episode, normalised over the memory; A_t = R_t − v_t.
        Steps of an unfinished episode are left out, because its return is not known.

        Raises:
            ConfigError: the memory's lists have different lengths or hold no finished episode, or `evaluate` does not
                return one row for each state.
            RuntimeError: a ratio is not 1 before the first gradient step.
        """
        steps = _finished(memory)
        states = memory.states[:steps]
        actions = torch.stack([action.flatten() for action in memory.actions[:steps]]).to(self.device)
        old = torch.stack([log_prob.reshape(()) for log_prob in memory.logprobs[:steps]]).to(self.device).detach()
        returns = _returns(memory, steps, self.gamma).to(self.device)
        size, seen = actions.shape[1], list[Losses]()
        for _ in range(self.K_epochs):
            log_prob, value, entropy = self._evaluated(states, actions)
            deviation = (torch.exp(log_prob - old) - 1).abs().detach()
            if not seen:
                check_first_ratio(deviation.max(), _REMEDY)
            policy_loss = clipped_surrogate(log_prob, old, returns - value.detach(), self.eps_clip)
            critic_loss = value_loss(value, returns)
            self._step(policy_loss + critic_loss - ENTROPY_COEF * entropy.mean())
            kl, clipped = approximate_kl(log_prob, old) / size, (deviation > self.eps_clip).float().mean()
            losses = (policy_loss, critic_loss, entropy.mean() / size, kl, clipped, deviation.max())
            seen.append(Losses(*(loss.detach() for loss in losses)))
        self.policy_old.load_state_dict(self._policy.state_dict())
        return statistics(seen, self.K_epochs)

    def _evaluated(self, states: list[Any], actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities [T], values [T] and entropies of any actor-critic."""
        log_prob, value, entropy = self._policy.evaluate(states, actions)
        found = log_prob.numel(), value.numel()
        if found != (len(states), len(states)):
            raise ConfigError(
                f"evaluate(states, actions) got {len(states)} states and returned {found[0]} log-probabilities and "
                f"{found[1]} values; it must return one of each for every state, in order"
            )
        return log_prob.reshape(-1), value.reshape(-1), entropy

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._policy.parameters(), MAX_GRAD_NORM, error_if_nonfinite=True)
        self.optimizer.step()


def _finished(memory: Memory) -> int:
    """Return the number of steps up to the end of the last finished episode."""
    lengths = {name: len(getattr(memory, name)) for name in ENTRIES}
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise ConfigError(
            f"the memory has {found}; append one reward and one is_terminal after every select_action, and call "
            "clear_memory() after an update"
        )
    if not any(memory.is_terminals):
        raise ConfigError(f"none of the memory's {len(memory.states)} steps ends an episode; play one to its end")
    return max(step for step, terminal in enumerate(memory.is_terminals) if terminal) + 1


def _returns(memory: Memory, steps: int, gamma: float) -> Tensor:
    """Return normalised discounted sums of rewards to the end of each step's episode [T].

    This is GAE with λ = 1 and without a critic. Double precision keeps rounding from making equal returns differ.
    """
    reward = torch.tensor([float(reward) for reward in memory.rewards[:steps]], dtype=torch.float64)
    terminal = torch.tensor([bool(terminal) for terminal in memory.is_terminals[:steps]])
    nothing = torch.zeros_like(reward)
    returns = gae(reward, nothing, nothing, terminal, nothing, gamma=gamma, gae_lambda=1.0)
    return ((returns - returns.mean()) / (returns.std(correction=0) + 1e-5)).float()


def _check(action_dim: int, action_std: float, epochs: int, gamma: float, eps_clip: float) -> None:
    wrong = [
        f"{name} must be {rule}, not {value}"
        for name, value, rule, holds in (
            ("action_dim", action_dim, "at least 1", action_dim >= 1),
            ("action_std", action_std, "above 0", action_std > 0),
            ("K_epochs", epochs, "at least 1", epochs >= 1),
            ("gamma", gamma, "in [0, 1]", 0 <= gamma <= 1),
            ("eps_clip", eps_clip, "in (0, 1)", 0 < eps_clip < 1),
        )
        if not holds
    ]
    if wrong:
        raise ConfigError(f"Agent: {'; '.join(wrong)}")
