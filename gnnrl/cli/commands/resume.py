"""`gnnrl resume`: resume an interrupted run, to the result of an uninterrupted one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer

from gnnrl.cli import torchrun
from gnnrl.cli.command import Outcome, command
from gnnrl.cli.commands.finetune import tune_on
from gnnrl.cli.commands.prune import work_on
from gnnrl.cli.console import Narrator, say
from gnnrl.cli.jobs import Place
from gnnrl.cli.options import option
from gnnrl.cli.run_settings import Again, read_job
from gnnrl.cli.runs import Found, extend, find_run, refuse_part, resume_command, run_path, tidy
from gnnrl.cli.training import Tuning
from gnnrl.errors import ConfigError
from gnnrl.storage.layout import SWEEP


@dataclass(frozen=True, slots=True)
class Finished(Outcome):
    """A result that is complete already.

    Attributes:
        manifest: facts of its manifest; a sweep has none.
        advice: a command that extends its search, empty if it cannot be extended.
    """

    out: Path
    manifest: Mapping[str, object] = field(default_factory=dict)
    advice: str = ""

    def facts(self) -> Mapping[str, object]:
        """Return the place of the result, its scores and its number of evaluations."""
        known = {name: self.manifest[name] for name in ("score", "evaluations") if name in self.manifest}
        return {"finished": True, "out": str(self.out), **known}

    def show(self) -> None:
        """Print that there is nothing to do, and how to extend the search."""
        advice = f"\nExtend it with: {self.advice}" if self.advice else ""
        say(f"{self.out} is finished; there is nothing to resume.{advice}")


@command()
def resume(
    narrator: Narrator,
    result: Annotated[
        Path, typer.Argument(metavar="DIR", help="The --out of the interrupted command.", show_default=False)
    ],
    again: Again,
    place: Place,
    more: Annotated[int, option("Score this many more plans, also after the end.", "--extend", min=0)] = 0,
    repair: Annotated[bool, option("Resume before the first damaged line of the journal.", "--repair")] = False,
) -> Outcome | None:
    """Resume an interrupted run, after Ctrl-C, a crash or a full disk. The result is that of an uninterrupted run.

    A sweep is resumed as a whole: finished limits are kept.

    gnnrl resume small
    """
    if (result / SWEEP).is_file() and not run_path(result).exists():
        if more:
            raise ConfigError(f"{result} is a sweep; extend its results one by one: gnnrl resume {result}/macs-50")
        return Finished(result)
    found = find_run(result)
    if more or not found.is_finished:
        refuse_part(found)
    if found.is_finished:
        if torchrun.helps():
            return None
        tidy(found.out)
        if not more:
            return _finished(found)
        found = extend(found, more)
    elif more:
        raise ConfigError(f"the run of {found.out} has not ended yet; resume it first, then give --extend")
    found = replace(found, repair=repair)
    job = read_job(found, again, place)
    if isinstance(job, Tuning):
        return tune_on(job, narrator, found)
    torchrun.refuse("a search")
    return work_on(job, narrator, found)


def _finished(found: Found) -> Finished:
    from gnnrl.artifacts.bundle import read_manifest

    advice = resume_command(found.out, "--extend", "50") if found.can_be_extended else ""
    return Finished(found.out, read_manifest(found.out), advice)
