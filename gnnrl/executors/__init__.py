"""Places where plans are judged: this process, worker processes of this machine, or a Ray cluster.

The protocol is `gnnrl.scoring.plans.Executor`. The result does not depend on the executor or on the number of
workers: each plan is judged by itself with the same random numbers, and results are taken in the order of the plans.
"""
