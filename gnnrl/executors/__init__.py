"""Where plans are judged: in this process, in worker processes of this machine, on a Ray cluster.

The protocol is `gnnrl.scoring.plans.Executor`. What comes out does not depend on the executor or the number of workers:
each plan is judged by itself with the same random numbers, and answers are taken in the order of the plans.
"""
