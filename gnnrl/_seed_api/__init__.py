"""The paper's interface. `gnnrl.lib`, `gnnrl.graph_env` and `gnnrl.models` import it under the paper's names."""
