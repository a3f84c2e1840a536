"""Options from a file: `--config FILE` in TOML, and `--print-config`, which writes one.

A key is the name of an option without the leading dashes, such as `finetune-epochs`. The command line overrides the
file.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gnnrl.cli.options import option
from gnnrl.errors import ConfigError, question

LARGEST_BYTES = 2**20
_SETTING = re.compile(r"""^["']?([\w-]+)["']?[ \t]*:[ \t]*["']?([\w<>=%.,/*+-]+)["']?[ \t]*$""", re.MULTILINE)
_BARE = re.compile(r"true|false|\d+|\d+\.\d+")
_META = ("config", "print_config", "help", "as_json")


def read_settings(path: Path) -> Mapping[str, object]:
    """Read a file of settings, in which nothing can run code; raise ConfigError if it is missing, large or not TOML."""
    if not path.is_file():
        raise ConfigError(f"{path}, a file of settings, does not exist")
    if path.stat().st_size > LARGEST_BYTES:
        raise ConfigError(f"{path} is larger than {LARGEST_BYTES // 2**20} MiB, too large for a file of settings")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    raise ConfigError(f"{path}: settings are read from TOML; write them to a .toml file:  {_first_line(text)}")


def _first_line(text: str) -> str:
    """Write the first setting of a file in another format, such as YAML, as a line of TOML."""
    found = _SETTING.search(text)
    if found is None:
        return 'constraint = "macs<=50%"'
    key, value = found.groups()
    return f"{key} = {value if _BARE.fullmatch(value) else json.dumps(value)}"


def take_settings(context: typer.Context, path: Path | None) -> Path | None:
    """Use a file of settings for the defaults of a command; a ConfigError names the file and the key."""
    if path is None:
        return None
    known = {_key(parameter): parameter for parameter in context.command.params if parameter.name not in _META}
    defaults: dict[str, Any] = {}
    for written, value in read_settings(path).items():
        key = str(written).replace("_", "-")
        if key not in known:
            message = f"{path}: {written!r} is not a setting of gnnrl {context.info_name}"
            raise ConfigError("; ".join(filter(None, [message, question(key, known)])))
        defaults[known[key].name] = _checked(path, key, value, several=known[key].multiple)
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _checked(path: Path, key: str, value: Any, *, several: bool) -> Any:
    """Return a value as the command line would give it: text, a number or a switch, or a list of them."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) or item is None for item in items):
        raise ConfigError(
            f"{path}: {key} must be text, a number, true or false{' or a list of them' if several else ''}"
        )
    if isinstance(value, list) and not several:
        raise ConfigError(f"{path}: {key} takes one value, not a list")
    return items if several else value


def _key(parameter: Any) -> str:
    """Return the key of an option: its longest form on the command line, without the dashes."""
    forms = [str(form) for form in parameter.opts]
    return max(forms, key=len).lstrip("-").replace("_", "-")


def show_settings(context: typer.Context) -> str:
    """Write all settings of a command as TOML."""
    parameters = [each for each in context.command.params if each.name not in (*_META, "dry_run", "force")]
    pairs = ((_key(parameter), context.params.get(str(parameter.name))) for parameter in parameters)
    return "\n".join(f"{key} = {_toml(value)}" for key, value in pairs if value not in (None, [], ()))


def _toml(value: Any) -> str:
    """Write a value as TOML; text in JSON's form, which TOML reads too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False)


ConfigOption = Annotated[
    Path | None,
    option("Options in TOML (finetune-epochs = 5).", "--config", metavar="FILE", is_eager=True, callback=take_settings),
]
PrintConfigOption = Annotated[
    bool, option("Print all settings as a file for --config, and do nothing else.", "--print-config")
]
