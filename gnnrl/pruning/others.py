"""Parts of the calibration images that follow the first part through a network that is being repaired.

The first part runs once. Wherever it needs something of all images, such as the inputs of the layer that is solved
next, the other parts run up to the same place, one after another, and stop there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gnnrl.pruning.calibration.dense import Calibration
from gnnrl.pruning.calibration.kept import Kept
from gnnrl.pruning.calibration.layer_calls import LayerCall, normalise
from gnnrl.pruning.calibration.program import Diverged, Forms, Program, Resumed
from gnnrl.pruning.calibration.sampling import Part
from gnnrl.pruning.calibration.watch import Observer, Watch

Event = tuple[str, int]
"""A layer call, a normalisation or an addition, and its number."""
Read = Callable[..., Any]
"""Reads something of a part: gets what the observer gets, and the part."""


class _Reached(BaseException):
    """A part has reached the place where it stops."""


class Others:
    """The other parts. Raises `Diverged` if the network's code takes another way for them."""

    def __init__(self, small: nn.Module, calibration: Calibration, parts: Sequence[Part]) -> None:
        self._small, self._calibration, self._parts = small, calibration, parts
        self._kept = Kept()
        self._forms: list[dict[int, Forms]] = [{} for _ in parts]
        self._order: int | None = None
        inputs = calibration.taken(0, 2)
        self._program = program = Program(inputs)

        def layer(call: LayerCall) -> Tensor:
            program.enter(call.order)
            return call.run()

        observer = Observer(layer, lambda norm, _: normalise(norm["input"], norm), lambda *_: None)
        with program, Watch(observer):
            calibration.feed.run(small, inputs)
        program.close()

    def read(self, wanted: Mapping[Event, Read], stop: Event, order: int | None) -> dict[Event, list[Any]]:
        """Run all parts up to an event; return what is read at the wanted events in each part.

        Args:
            order: the layer call from which parts will continue next time, if what they need may be kept.
        """
        if order == self._order or (order is not None and not self._fits(order)):
            order = None
        found: dict[Event, list[Any]] = {event: [] for event in wanted}
        for number in range(len(self._parts)):
            for event, value in self._run(number, wanted, stop, order).items():
                found[event].append(value)
        if order is not None:
            self._order = order
            needed = self._program.needed(order)
            self._kept.drop_all_but({(number, self._program.version(number, order)) for number in needed})
        return found

    def close(self) -> None:
        """Delete what is kept."""
        self._kept.close()

    def _fits(self, order: int) -> bool:
        """Return True if the storages that a layer call needs may be kept, in addition to those that are kept now."""
        images = sum(part.stop - part.start for part in self._parts)
        each = sum(self._program.bytes[number] for number in self._program.needed(order)) / 2
        return each * images <= self._kept.limit / 2

    def _run(self, number: int, wanted: Mapping[Event, Read], stop: Event, keep: int | None) -> dict[Event, Any]:
        part, program = self._parts[number], self._program
        resumed = Resumed(program, number, self._order, self._forms[number], self._kept)
        found: dict[Event, Any] = {}
        norms = 0

        def see(event: Event, *values: Any) -> None:
            if event in wanted:
                with resumed.paused():
                    found[event] = wanted[event](*values, part)
            if event == stop:
                raise _Reached

        def layer(call: LayerCall) -> Tensor:
            if call.order == keep:
                resumed.keep(call.order)
            see(("layer", call.order), call)
            return call.run()

        def norm(arguments: dict[str, Any], call: LayerCall | None) -> Tensor:
            nonlocal norms
            norms += 1
            see(("norm", norms - 1), arguments["input"])
            return normalise(arguments["input"], arguments)

        def addition(order: int, branch: Tensor, other: Tensor, call: LayerCall) -> None:
            see(("addition", order), other, call)

        inputs = (self._calibration.taken if self._order is None else self._calibration.like)(part.start, part.stop)
        try:
            with resumed, Watch(Observer(layer, norm, addition)):
                self._calibration.feed.run(self._small, inputs)
        except _Reached:
            pass
        if found.keys() != wanted.keys():
            raise Diverged
        return found
