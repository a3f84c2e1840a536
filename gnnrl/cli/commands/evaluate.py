"""`gnnrl evaluate`: the score of a saved result."""

from dataclasses import dataclass, replace

from gnnrl.cli.command import Outcome, command
from gnnrl.cli.console import Narrator, say
from gnnrl.cli.options import DeviceOption
from gnnrl.cli.saved import Given, ResultArgument, complete


@dataclass(frozen=True, slots=True)
class Evaluated(Outcome):
    """Top-1 of a saved result."""

    score: float
    test_images: int
    result: str

    def show(self) -> None:
        """Print one sentence."""
        say(f"{self.result}: top-1 {self.score:.2%} on {self.test_images:,} test images")


@command(quiet=True)
def evaluate(narrator: Narrator, result: ResultArgument, given: Given, device: DeviceOption = "cpu") -> Evaluated:
    """Load a saved result into a fresh network, and measure its top-1 on the test images.

    gnnrl evaluate small
    """
    narrator.begin("loading PyTorch")
    source, data = complete(result, given, with_data=True, device=device)
    from gnnrl.artifacts.bundle import load
    from gnnrl.cli.loading import load_network, load_splits
    from gnnrl.training import evaluator

    fed = load_network(source, device, narrator)
    small = load(fed.model, result)
    splits = load_splits(data, replace(fed, model=small), narrator)
    narrator.begin("testing")
    return Evaluated(evaluator(splits.test, device=device)(small), len(splits.test), str(result))
