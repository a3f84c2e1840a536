"""What is known of a small network before its curves are weighted."""

from torch import Tensor, nn

from gnnrl.network.structure import Network
from gnnrl.network.tracing.tracer import trace
from gnnrl.pruning.calibration.dense import Calibration, calibrate
from gnnrl.pruning.curves import Curve, error_curves


def known(model: nn.Module, x: Tensor) -> tuple[Network, Calibration, list[Curve]]:
    """The traced network, the record of its calibration, and its error curves."""
    network, record = trace(model, x[:2]), calibrate(model, [x])
    return network, record, error_curves(model, network, record)
