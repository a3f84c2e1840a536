"""Connections to a Ray cluster, which is started on this machine or runs already."""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from gnnrl.errors import ResourceError


def demand_token() -> None:
    """Have clusters of this process refuse whoever does not know its token; Ray reads this when it is imported."""
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


def connect(ray: Any, address: str | None, processors: int, runtime_env: Mapping[str, Any] | None) -> bool:
    """Start a cluster on this machine, or join one; the process keeps its own handling of signals.

    Args:
        address: of a running cluster; None for a new one on this machine.
        processors: how many a new cluster may use.

    Returns:
        True if this call did it, False if the process is in a cluster already.

    Raises:
        ResourceError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    settings: dict[str, Any] = {"address": address, "logging_level": "WARNING"}
    if address is None:
        settings |= {"address": "local", "num_cpus": processors, "include_dashboard": False}
    if runtime_env is not None:
        settings["runtime_env"] = dict(runtime_env)
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ResourceError(f"there is no Ray cluster at {address or 'this machine'}: {error}") from error
    finally:
        if is_main and handler is not None:
            signal.signal(signal.SIGTERM, handler)
    return True
