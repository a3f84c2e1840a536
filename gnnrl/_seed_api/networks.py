"""The paper's actor, critic and actor-critic for graphs of `graph_env`, and their memory.

B = states, E = width of the embedding, A = numbers in an action, one for each group.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gnnrl.agent.batching import ObservationBatch, batch
from gnnrl.agent.encoder import MultiStageEncoder, graph_embedding
from gnnrl.agent.losses import gaussian_entropy, gaussian_log_prob
from gnnrl.agent.observation import Observation
from gnnrl.errors import ConfigError

ENTRIES = ("actions", "states", "logprobs", "rewards", "is_terminals")


class Memory:
    """Steps since the last update: each list has one entry for each step.

    `act` appends to the first three lists, and the training loop to the last two.
    """

    def __init__(self) -> None:
        self.actions: list[Tensor] = []
        self.states: list[Any] = []
        self.logprobs: list[Tensor] = []
        self.rewards: list[float] = []
        self.is_terminals: list[bool] = []

    def clear_memory(self) -> None:
        """Empty all lists after an update."""
        for name in ENTRIES:
            getattr(self, name).clear()


State = Observation | Sequence[Observation] | Memory


class MultiStageGraphEncoder(nn.Module):
    """Embed whole networks: stage 1 embeds motifs, stage 2 the graph of instances and groups, whose mean is returned.

    There is no dropout, and a state has the same embedding alone and among others.

    Args:
        g_in_size: features of a node, the `g_in_size` of the environment.
        g_hidden_size: width inside both stages.
        g_embedding_size: width of the result, E.
    """

    def __init__(self, g_in_size: int, g_hidden_size: int, g_embedding_size: int) -> None:
        super().__init__()
        self.g_in_size = g_in_size
        self.encoder = MultiStageEncoder(g_in_size, g_in_size, g_hidden_size, g_embedding_size)

    def forward(self, state: State) -> Tensor:
        """Return one row for each state [B, E] of a list or memory, or for a single state.

        Raises:
            ConfigError: the argument is not a state, or has another number of features.
        """
        device = next(self.parameters()).device
        graphs = _joined(state).to(device)
        for level, x in (("operation", graphs.operation_x), ("node", graphs.x)):
            if x.shape[1] != self.g_in_size:
                raise ConfigError(
                    f"the encoder was built for {self.g_in_size} features, but the state's {level}s have "
                    f"{x.shape[1]}; give graph_env(g_in_size) and Agent(state_dim) the same number"
                )
        return graph_embedding(self.encoder(graphs), graphs)[graphs.observation_graph]


def _joined(state: State) -> ObservationBatch:
    if isinstance(state, Memory):
        state = state.states
    states = [state] if isinstance(state, Observation) else state
    if not isinstance(states, list | tuple) or not all(isinstance(one, Observation) for one in states):
        raise ConfigError(
            f"the encoder reads states of graph_env.reset() and step(), or a list of them, not {type(state).__name__}"
        )
    return batch(states)


class _Checkpointed(nn.Module):
    """Networks with a file for their weights in `chkpt_dir`."""

    checkpoint_file: str

    def save_checkpoint(self) -> None:
        """Write the weights."""
        Path(self.checkpoint_file).parent.mkdir(parents=True, exist_ok=True)
        torch.save(self.state_dict(), self.checkpoint_file)

    def load_checkpoint(self) -> None:
        """Load the file of `save_checkpoint`. Nothing in it is executed."""
        self.load_state_dict(torch.load(self.checkpoint_file, map_location="cpu", weights_only=True))


class ActorNetwork(_Checkpointed):
    """Actor: means of the action in [-1, 1] from the embedding of the whole network, [B, A]."""

    def __init__(
        self,
        g_in_size: int,
        g_hidden_size: int,
        g_embedding_size: int,
        hidden_size: int,
        nb_actions: int,
        chkpt_dir: str = "tmp/rl",
    ) -> None:
        super().__init__()
        self.checkpoint_file = os.path.join(chkpt_dir, "actor_torch_rl")
        self.graph_encoder = MultiStageGraphEncoder(g_in_size, g_hidden_size, g_embedding_size)
        self.linear1 = nn.Linear(g_embedding_size, hidden_size)
        self.linear2 = nn.Linear(hidden_size, nb_actions)
        self.nb_actions = nb_actions

    def forward(self, state: State) -> Tensor:
        """Return means [B, A]."""
        return torch.tanh(self.linear2(torch.relu(self.linear1(self.graph_encoder(state)))))


class CriticNetwork(_Checkpointed):
    """Critic: value of each state in [-1, 1], the scale of normalised returns, [B, 1]."""

    def __init__(self, g_in_size: int, g_hidden_size: int, g_embedding_size: int, chkpt_dir: str = "tmp/rl") -> None:
        super().__init__()
        self.checkpoint_file = os.path.join(chkpt_dir, "critic_torch_rl")
        self.graph_encoder_critic = MultiStageGraphEncoder(g_in_size, g_hidden_size, g_embedding_size)
        self.linear1 = nn.Linear(g_embedding_size, 1)

    def forward(self, state: State) -> Tensor:
        """Return values [B, 1]."""
        return torch.tanh(self.linear1(self.graph_encoder_critic(state)))


class ActorCritic(nn.Module):
    """A diagonal Gaussian of fixed standard deviation around the actor's means, and a critic.

    Args:
        state_dim: features of a node, the environment's `g_in_size`.
        action_dim: numbers in an action, the environment's `action_dim`.
        action_std: standard deviation of every number of the action.
    """

    action_var: Tensor

    def __init__(self, state_dim: int, action_dim: int, action_std: float) -> None:
        super().__init__()
        self.actor = ActorNetwork(state_dim, 50, 50, hidden_size=200, nb_actions=action_dim)
        self.critic = CriticNetwork(state_dim, 50, 50)
        self.register_buffer("action_var", torch.full((action_dim,), float(action_std) ** 2))

    @torch.no_grad()
    def act(self, state: State, memory: Memory) -> Tensor:
        """Draw an action [1, A], and append the state, the action and its log-probability [1] to the memory."""
        mean: Tensor = self.actor(state)
        action = mean + self.action_var.sqrt() * torch.randn(mean.shape).to(mean)
        memory.states.append(state)
        memory.actions.append(action)
        memory.logprobs.append(self._log_prob(action, mean))
        return action

    def evaluate(self, state: State, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probability, value and entropy [B] of actions [B, A] in B states, with gradients."""
        mean = self.actor(state)
        entropy = gaussian_entropy(0.5 * self.action_var.log()).sum()
        return self._log_prob(action, mean), self.critic(state).squeeze(1), entropy.expand(len(mean))

    def _log_prob(self, action: Tensor, mean: Tensor) -> Tensor:
        return gaussian_log_prob(action, mean, 0.5 * self.action_var.log()).sum(1)
