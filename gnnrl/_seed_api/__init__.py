"""The paper's interface, translated: gnnrl.lib.RL.agent and gnnrl.graph_env.graph_environment open onto this."""
