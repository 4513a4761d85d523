"""The account's own folders, by the XDG Base Directory Specification 0.8: a variable with a relative path does not count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def config(environment: Mapping[str, str] = os.environ) -> Path:
    return _folder(environment.get("XDG_CONFIG_HOME", ""), ".config")


def state(environment: Mapping[str, str] = os.environ) -> Path:
    return _folder(environment.get("XDG_STATE_HOME", ""), ".local/state")


def _folder(named: str, otherwise: str) -> Path:
    return Path(named) if Path(named).is_absolute() else Path.home() / otherwise
