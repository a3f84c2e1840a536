"""Searchers side by side at equal numbers of reward evaluations: medians, spreads, and best-so-far as a figure.

    python benchmarks/search.py --data cifar10-jpeg --weights resnet20_cifar10_jpeg.safetensors
    python benchmarks/search.py --data cifar10-jpeg --weights resnet56_cifar10_jpeg.safetensors --model cifar-resnet56 \
        --constraint "macs<=35%" --searchers ppo,cma,tpe,random --evaluations 300
    python benchmarks/search.py --report

Every searcher gets the same network, limit, projection, calibration images and reward images; nothing is fine-tuned. A
searcher is a name of gnnrl, or with another criterion or repair `ranked@taylor`, `uniform@l2+none`, `ppo+bn`. A run of
150 evaluations also tells what was found after 50; annealing, ddpg, amc, evolution and greedy plan for their budget and
are run once for each. The test images are read once for the best plan at each mark, after the search. "Gap" is top-1
on the reward images minus that on the test images, "hopeless" the share of judged plans that lose more than twice as
much against the dense network as the closed form does, "outside" the share of all seconds after the trace that is
neither a forward pass of calibration nor of reward, and "repair" how much of it the solves of the repair are.

Each run is written when it ends. The same command goes on where it was interrupted; started twice, the two share the
work.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ledger import read, unmeasured
from marks import Arm, draw, search, tables, wanted
from subject import Subject, announce, parser, printed

SEARCHERS = "ppo,cma,tpe,random-prior,random,evolution,annealing,greedy,ddpg,amc"
CLOSED = "curves,ranked@taylor,ranked@l2,uniform@l2,uniform@l2+none"
DOCS = Path(__file__).parents[1] / "docs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables; or print those of all files."""
    options = _options(arguments)
    if printed(options, "search", partial(report, figures=Path(options.figures))):
        return
    arms = [Arm.parse(text) for text in options.searchers.split(",")]
    subject = Subject.load(options)
    ledger = subject.ledger("search")
    announce(ledger)
    if options.forget:
        ledger.forget(options.forget.split(","))
    search(ledger, subject, arms, options.evaluations, range(options.seeds))
    report(ledger.path, None)


def report(path: Path, figures: Path | None) -> None:
    """Print the tables of a file and what is missing in it; draw it into a folder."""
    document = read(path)
    settings = document["settings"]
    title = f"{path.stem} ({settings['model']}, {settings['constraint']})"
    print("\n" + tables(document, title))
    print(f"\n{unmeasured(wanted(document))}", flush=True)
    if figures is not None and document["rows"]:
        draw(document, figures / f"search-{path.stem}.svg")
        print(f"\nDrawn in search-{path.stem}.svg.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--searchers", default=f"{SEARCHERS},{CLOSED}", help="joined by commas")
    found.add_argument("--evaluations", type=int, default=150, help="of the longest run; 50 and 150 are marks, too")
    found.add_argument("--forget", help="searchers whose runs are deleted first, since their code has changed")
    found.add_argument("--report", action="store_true", help="measure nothing: all tables, and figures in docs/")
    found.add_argument("--figures", default=str(DOCS), help="folder of the figures")
    found.set_defaults(seeds=3)
    options = found.parse_args(arguments)
    if options.quick:
        options.searchers, options.evaluations, options.seeds = "ppo,annealing,random,uniform@l2+none", 3, 1
    return options


if __name__ == "__main__":
    main()
