"""A network that measuring processes measure."""

import torch

from gnnrl.cli.bench_workers import Contestant
from gnnrl.cli.inputs import Source

EAGER = Contestant(source=Source(model="digits-resnet"), batches=(1, 4), device="cpu", threads=torch.get_num_threads())
