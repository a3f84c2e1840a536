"""Sensitivity: the effect of narrowing one group alone on the network's outputs.

One group is masked to a width, the layers that read it compensate in closed form, and the outputs for held-out images
are compared with the dense network's. If masking differs from removing (a normalisation over the channels), the group
is really removed and repaired.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnnrl.modules.copies import copy_network
from gnnrl.modules.modes import evaluating
from gnnrl.network.labels import Component
from gnnrl.network.structure import Group, Network
from gnnrl.network.surgery import remove
from gnnrl.pruning.calibration.dense import Calibration, numbers_of_images
from gnnrl.pruning.calibration.records import LayerRecord
from gnnrl.pruning.held_out import held_out_outputs, output_errors
from gnnrl.pruning.least_squares import damping
from gnnrl.pruning.reconstruction import Repair

_IMAGES = 24
"""Number of held-out images: with 50, logarithms of MobileNetV2's errors differ by 0.06, a tenth of their spread."""
_CHECKED = 2


class Sensitivity:
    """Measures single groups of a network on held-out calibration images.

    Args:
        orders: removal order of each group's units.
        repair: the repair of networks from which a group is really removed.
    """

    def __init__(
        self,
        model: nn.Module,
        network: Network,
        orders: Sequence[Component],
        calibration: Calibration,
        repair: Repair | None,
    ) -> None:
        self._model = copy_network(model).eval()
        self._network, self._orders, self._calibration, self._repair = network, orders, calibration, repair
        start = calibration.fitted
        self._held = calibration.taken(start, start + _IMAGES)
        self._tensors = {**dict(self._model.named_parameters()), **dict(self._model.named_buffers())}
        self._masks: dict[int, bool] = {}

    @torch.no_grad()
    def __call__(
        self, widths: Component, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> NDArray[np.float64]:
        """Measure the error of the outputs with each group alone at its width [G]; 0 at the dense width."""
        images = len(self._held[0])
        dense = numbers_of_images(self._run(self._model), images)
        found = np.zeros(len(widths))
        groups = [group for group in self._network.groups if widths[group.index] < group.size]
        for done, group in enumerate(groups):
            width = int(widths[group.index])
            if self._is_mask(group, width):
                with self._narrowed(group, width):
                    outputs = numbers_of_images(self._run(self._model), images)
            else:
                small, kept = self._removed(group, width)
                all_held = held_out_outputs(small, self._network, kept, self._calibration, self._repair)
                outputs = [value[: len(like)] for value, like in zip(all_held, dense, strict=True)]
            found[group.index] = float(output_errors(outputs, dense, images).mean())
            progress(done + 1, len(groups))
        return found

    def _run(self, model: nn.Module, images: int = _IMAGES) -> Any:
        with evaluating(model):
            return self._calibration.feed.run(model, [value[:images] for value in self._held])

    def _removed(self, group: Group, width: int) -> tuple[nn.Module, list[Component]]:
        kept = [np.arange(other.size) for other in self._network.groups]
        kept[group.index] = np.sort(self._orders[group.index][-width:])
        return remove(self._model, self._network, kept), kept

    def _is_mask(self, group: Group, width: int) -> bool:
        """Return True if masking the group's units is the same as removing them; both are tried once."""
        if group.index not in self._masks:
            with self._narrowed(group, width, compensated=False):
                masked = numbers_of_images(self._run(self._model, _CHECKED), _CHECKED)
            removed = numbers_of_images(self._run(self._removed(group, width)[0], _CHECKED), _CHECKED)
            pairs = zip(masked, removed, strict=True)
            self._masks[group.index] = all(bool((a - b).norm() <= 1e-3 * b.norm()) for a, b in pairs)
        return self._masks[group.index]

    @contextmanager
    def _narrowed(self, group: Group, width: int, *, compensated: bool = True) -> Iterator[None]:
        """Mask the units that a group loses at a width, and let the layers that read them compensate."""
        removed = torch.from_numpy(np.ascontiguousarray(self._orders[group.index][: group.size - width]))
        places = [place for place in group.places if not place.tensor.endswith("running_var")]
        before: dict[str, Tensor] = {}

        def changed(name: str) -> Tensor:
            tensor = self._tensors[name]
            before.setdefault(name, tensor.clone())
            return tensor

        try:
            for place in places if compensated else []:
                for record in self._calibration.of_weight(place.tensor) if place.dim == 1 else []:
                    self._compensate(record, torch.from_numpy(place.positions)[removed].flatten(), changed)
            for place in places:
                index = torch.from_numpy(place.positions)[removed].flatten()
                tensor = changed(place.tensor)
                tensor.index_fill_(place.dim, index.to(tensor.device), 0)
            yield
        finally:
            for name, value in before.items():
                self._tensors[name].copy_(value)

    def _compensate(self, record: LayerRecord, channels: Tensor, changed: Callable[[str], Tensor]) -> None:
        """Let the other inputs of a layer stand in for these: ridge regression of their part of its outputs."""
        if record.fitted is None or record.weight is not None or record.name in self._calibration.shared:
            return
        rows = changed(record.name)[record.first : record.first + len(record.scale)]
        kernel = rows[0, 0].numel()
        gone = torch.zeros(rows[0].numel(), dtype=torch.bool, device=rows.device)
        gone[(channels[:, None] * kernel + torch.arange(kernel)).flatten().to(rows.device)] = True
        covariance, mean = record.fitted.covariance, record.fitted.mean
        gram = covariance[~gone][:, ~gone].double()
        strength = damping(len(gram), self._calibration.fitted)
        gram.diagonal().add_(strength * gram.diagonal().mean().clamp_min(1e-12))
        matrix = rows.flatten(1).clone()
        lost = matrix[:, gone].double()
        gain = torch.linalg.solve(gram, covariance[~gone][:, gone].double() @ lost.T).T
        shift = (lost @ mean[gone].double() - gain @ mean[~gone].double()).to(rows.dtype)
        matrix[:, ~gone] += gain.to(rows.dtype)
        rows.copy_(matrix.view(rows.shape))
        if record.bias is not None:
            changed(record.bias)[record.first : record.first + len(rows)] += shift
        elif record.centre is not None:
            changed(record.centre).sub_(shift)
