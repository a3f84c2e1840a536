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
    with patch("gnnrl.files.os.access", return_value=False):
        return command("prune", *DIGITS, "--out", "home/small")


def found(*arguments: str) -> Said:
    """A search that is as short as can be."""
    said = command("prune", *DIGITS, "--searcher", "curves", "--finetune-epochs", "0", "--threads", "1", *arguments)
    return Said(said.code, said.text[-160:])


def limit(text: str) -> tuple[str, Callable[[], Said]]:
    return f"`--constraint \"{text}\"`", prune("--constraint", text)


BOMB = 'a: &a ["x"]\n' + "".join(f"{n}: &{n} [*{p}, *{p}, *{p}, *{p}, *{p}, *{p}, *{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi"))

CASES = (
    Case(25, *limit("macs<=0.5%"), 4, ()),
    Case(25, "`macs<=50%` with `--min-width 16`", prune("--min-width", "16"), 4, ()),
    Case(26, *limit("macs<=100%"), 2, ()),
    Case(26, *limit("macs<=150%"), 2, ()),
    Case(26, *limit("macs<=0%"), 2, ()),
    Case(26, *limit("macs<=-5%"), 2, ()),
    Case(26, *limit("macs<=nan%"), 2, ()),
    Case(26, *limit("macs<=1e-3%"), 4, ()),
    Case(26, *limit("macs<=50"), 2, ()),
    Case(26, *limit("macs<=0.5"), 2, ()),
    Case(26, *limit("50"), 2, ()),
    Case(27, *limit("macs<=90%,params<=1%"), 4, ()),
    Case(27, *limit("macs<=50%,macs<=30%"), 2, ()),
    Case(27, "`--sweep 50%,50%`", prune("--sweep", "50%,50%"), 2, ()),
    Case(28, "`--keep layre3`", prune("--keep", "layre3"), 2, ()),
    Case(28, "`--bounds layre3=0.2:0.5`", prune("--bounds", "layre3=0.2:0.5"), 2, ()),
    Case(34, "an unknown key in a file", configured("finetune-epoch = 5\n"), 2, ()),
    Case(34, "a key twice", configured("seed = 1\nseed = 2\n"), 2, ()),
    Case(34, "a key twice in YAML", configured("seed: 1\nseed: 2\n", "settings.yaml"), 2, ()),
    Case(34, "a value of another type", configured('episodes = "many"\n'), 2, ()),
    Case(34, "a tab in YAML", configured("seed:\n\t1\n", "settings.yaml"), 2, ()),
    Case(34, "a YAML bomb", configured(BOMB, "settings.yaml"), 2, ()),
    Case(34, "2 MiB of settings", configured("#" * 2**21), 2, ()),
    Case(35, "`!!python/object` in YAML", configured("seed: !!python/object/apply:os.getpid []\n", "settings.yaml"), 2, ()),
    Case(35, "`_target_` in a file", configured('_target_ = "os.system"\n'), 2, ()),
    Case(42, "`--out` that holds something", into("home"), 2, ()),
    Case(42, "`--out --force` that holds no result", into("home", "--force"), 2, ()),
    Case(42, "`--out` that is a file", into("home/precious.txt"), 2, ()),
    Case(42, "`--out` in a folder that may not be written", unwritable, 2, ()),
    Case(42, "a very long `--out`", prune("--out", "n" * 300), 2, ()),
    Case(42, "`--out \"a b/🐘\"`", lambda: found("--out", "a b/🐘"), 0, ()),
    Case(42, "`--seed -1`", prune("--seed", "-1"), 2, ()),
    Case(42, "`--seed 99999999999999999999`", prune("--seed", "9" * 20), 2, ()),
    Case(42, "`--workers 999`", prune("--workers", "999"), 2, ()),
    Case(42, "`--device abacus`", prune("--device", "abacus"), 2, ()),
    Case(42, "`--model digit-resnet`", lambda: command("prune", "--model", "digit-resnet", "--data", "digits"), 2, ()),
    Case(42, "`--searcher pro`", prune("--searcher", "pro"), 2, ()),
    Case(42, "no weights", lambda: command("prune", "--model", "digits-resnet", "--data", "digits"), 2, ()),
)
