"""All searchers by name."""

from difflib import get_close_matches

from gnnrl.errors import ConfigError
from gnnrl.searchers import closed_form
from gnnrl.searchers.ppo import PPOSearcher
from gnnrl.searchers.task import Searcher

SEARCHERS: dict[str, Searcher] = {
    "ppo": PPOSearcher(),
    "random": closed_form.random,
    "uniform": closed_form.uniform,
    "ranked": closed_form.ranked,
    "curves": closed_form.curves,
}
CLOSED_FORM = frozenset({"uniform", "ranked", "curves"})


def find_searcher(name: str | Searcher) -> Searcher:
    """The searcher of this name; a user's own is returned as it is.

    Raises:
        ConfigError: there is none of this name; the message lists and suggests.
    """
    if not isinstance(name, str):
        return name
    if name not in SEARCHERS:
        near = get_close_matches(name, SEARCHERS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"unknown searcher {name!r}; {hint}there are {', '.join(SEARCHERS)}")
    return SEARCHERS[name]
