"""Limits, rules, settings and places that cannot be meant: kinds 25 to 28, 34, 35 and 42."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from tests.inputs.case import Case, Said, command

DIGITS = ("--model", "digits-resnet", "--pretrained", "--data", "digits")


def prune(*arguments: str) -> Callable[[], Said]:
    return lambda: command("prune", *DIGITS, *arguments)


def configured(text: str, name: str = "settings.toml") -> Callable[[], Said]:
    """The command line with a file of settings."""

    def tried() -> Said:
        Path(name).write_text(text)
        return command("prune", *DIGITS, "--config", name)

    return tried


def into(place: str, *arguments: str) -> Callable[[], Said]:
    """A result for a place that holds something."""

    def tried() -> Said:
        Path("home").mkdir()
        Path("home/precious.txt").touch()
        return command("prune", *DIGITS, "--out", place, *arguments)

    return tried


def unwritable() -> Said:
    """A folder of somebody else's; root may write everywhere, so the system's answer is put in its mouth."""
    with patch("gnnrl.storage.files.os.access", return_value=False):
        return command("prune", *DIGITS, "--out", "home/small")


def saved(place: str) -> Callable[[], Said]:
    """A search that is as short as can be."""
    few = (
        "--searcher",
        "uniform",
        "--importance",
        "l2",
        "--repair",
        "none",
        "--finetune-epochs",
        "0",
        "--threads",
        "1",
    )
    return lambda: command("prune", *DIGITS, *few, "--reward-images", "20", "--out", place, told="Saved in [^,]*(?=,)")


def limit(text: str) -> tuple[str, Callable[[], Said]]:
    return f'`--constraint "{text}"`', prune("--constraint", text)


RANGE = r"(?<=': ).*"

CASES = (
    Case(25, *limit("macs<=0.5%"), 4, ("smallest limit that can be met is macs<=1.03%", "layer*.0.conv2")),
    Case(25, "`macs<=50%` with `--min-width 16`", prune("--min-width", "16"), 4, ("min_width 16", "Loosen it")),
    Case(26, *limit("macs<=100%"), 2, ("'macs<=100%'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(26, *limit("macs<=150%"), 2, ("'macs<=150%'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(26, *limit("macs<=0%"), 2, ("'macs<=0%'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(26, *limit("macs<=-5%"), 2, ("'macs<=-5%'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(26, *limit("macs<=nan%"), 2, ("'macs<=nan%'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(26, *limit("macs<=1e-3%"), 4, ("smallest limit that can be met is macs<=1.03%",)),
    Case(26, *limit("macs<=50"), 2, ("did you mean macs<=50%?",)),
    Case(26, *limit("macs<=0.5"), 2, ("'macs<=0.5'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(26, *limit("50"), 2, ("'50'", "macs<=50%, params<=1.5M or latency<=5ms")),
    Case(27, *limit("macs<=90%,params<=1%"), 4, ("params<=1,722 cannot be met", "params<=1.61%")),
    Case(27, *limit("macs<=50%,macs<=30%"), 2, ("macs is limited twice",)),
    Case(27, "`--sweep 50%,50%`", prune("--sweep", "50%,50%"), 2, ("--sweep '50%,50%'", "each of them once")),
    Case(28, "`--keep layre3`", prune("--keep", "layre3"), 2, ("'layre3'", "did you mean layer3")),
    Case(28, "`--bounds layre3=0.2:0.5`", prune("--bounds", "layre3=0.2:0.5"), 2, ("'layre3'", "did you mean layer3")),
    Case(
        34,
        "an unknown key in a file",
        configured("finetune-epoch = 5\n"),
        2,
        ("settings.toml: 'finetune-epoch'", "did you mean finetune-epochs?"),
    ),
    Case(34, "a key twice", configured("seed = 1\nseed = 2\n"), 2, ("settings.toml", "line 2")),
    Case(34, "YAML", configured("seed: 1\n", "settings.yaml"), 2, ("settings.yaml: settings are read from TOML",)),
    Case(34, "a value of another type", configured('episodes = "many"\n'), 2, ("--episodes",), foreign=RANGE),
    Case(34, "2 MiB of settings", configured("#" * 2**21), 2, ("settings.toml", "larger than 1 MiB")),
    Case(
        35,
        "`!!python/object` in YAML",
        configured("seed: !!python/object/apply:os.getpid []\n", "settings.yaml"),
        2,
        ("settings.yaml: settings are read from TOML",),
    ),
    Case(35, "`_target_` in a file", configured('_target_ = "os.system"\n'), 2, ("settings.toml: '_target_'",)),
    Case(42, "`--out` that holds something", into("home"), 2, ("home is not empty", "choose another directory")),
    Case(
        42, "`--out --force` that holds no result", into("home", "--force"), 2, ("not a saved result", "choose another")
    ),
    Case(
        42,
        "`--out` that is a file",
        into("home/precious.txt"),
        2,
        ("home/precious.txt is a file", "choose a directory"),
    ),
    Case(42, "`--out` in a folder that may not be written", unwritable, 2, ("cannot write home/small",)),
    Case(42, "a very long `--out`", prune("--out", "n" * 300), 2, ("File name too long", "choose another name")),
    Case(42, '`--out "a b/🐘"`', saved("a b/🐘"), 0, ("a b/🐘",)),
    Case(42, "`--seed -1`", prune("--seed", "-1"), 2, ("--seed",), foreign=RANGE),
    Case(42, "`--seed 99999999999999999999`", prune("--seed", "9" * 20), 2, ("--seed",), foreign=RANGE),
    Case(
        42,
        "`--workers 999`",
        prune("--workers", "999"),
        2,
        ("999 worker processes", "executor 'ray'"),
        foreign=r"(?<=for the )\d+(?= processors)",
    ),
    Case(42, "`--device abacus`", prune("--device", "abacus"), 2, ("--device 'abacus'", "choose cpu")),
    Case(
        42,
        "`--model digit-resnet`",
        lambda: command("prune", "--model", "digit-resnet", "--data", "digits"),
        2,
        ("'digit-resnet'", "did you mean digits-resnet"),
    ),
    Case(42, "`--searcher pro`", prune("--searcher", "pro"), 2, ("'pro'", "did you mean ppo?")),
    Case(
        42,
        "no weights",
        lambda: command("prune", "--model", "digits-resnet", "--data", "digits"),
        2,
        ("--weights FILE",),
    ),
)
