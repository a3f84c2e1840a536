"""Places where plans are judged: this process, worker processes of this machine, or a Ray cluster.

The protocol is `gnnrl.scoring.plans.Executor`. Results are the same everywhere, in the order of the plans.
"""
