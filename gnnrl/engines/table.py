"""find_target("onnxruntime:int8"): the engines of this package and those of the user, by name."""

from collections.abc import Mapping
from functools import cache

from gnnrl.engines.engine import Engine, Runtime, Target
from gnnrl.engines.onnxruntime import OnnxRuntime
from gnnrl.engines.openvino import OpenVino
from gnnrl.engines.pytorch import Compile, Eager
from gnnrl.errors import ConfigError, choices
from gnnrl.imports import made
from gnnrl.network.limits import Constraint

ENGINES: Mapping[str, Runtime] = {engine.name: engine for engine in (Eager(), Compile(), OnnxRuntime(), OpenVino())}


def engines_in(constraint: str) -> Mapping[str, Engine]:
    """Make the engines of the user that a limit of the command line names, as in `latency<=5ms@device.py:Engine`.

    Raises:
        ConfigError: a file or class is not there, or making the engine failed.
    """
    limits = (limit.engine for limit in Constraint.parse(constraint))
    names = [":".join(name.split(":")[:2]) for name in limits if ".py:" in name]
    return {name: _made_once(name) for name in names}


@cache
def _made_once(name: str) -> Engine:
    """Make an engine of the user, which may hold a device that cannot be opened twice."""
    engine: Engine = made(name)
    return engine


def find_target(text: str, own: Mapping[str, Engine] | None = None) -> Target:
    """Find the engine that a limit names, and check its precision and that it is installed.

    Args:
        text: NAME or NAME:PRECISION.
        own: engines of the user, by name.

    Raises:
        ConfigError: there is no such engine or precision, it is not installed, or it lacks a method.
    """
    known: dict[str, Engine] = {**ENGINES, **(own or {})}
    named = [name for name in known if text == name or text.startswith(f"{name}:")]
    if not named:
        raise ConfigError(f"there is no engine {text!r}; {choices(text.partition(':')[0], known)}")
    name = max(named, key=len)
    engine = known[name]
    if not isinstance(engine, Engine):
        raise ConfigError(
            f"the engine {name} needs the methods build(model, example_inputs, precision) and time(built), "
            f"got {type(engine).__name__}"
        )
    target = Target(name, engine, text[len(name) + 1 :] or "fp32")
    _ = target.version  # raises if the engine is not installed
    return target
