"""A check that something else starts each night, as data: what systemd and cron are each told of it in their own words."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opdeploy.model import OpdeployError, UsageError

PREFIX = "opdeploy-drift-"
TIME_OF_DAY = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class Nightly:
    """`arguments` is the whole command with absolute paths; `at` ``02:30`` or what systemd calls a calendar event; times in
    seconds. `jitter` is the scheduler's to wait where it can. Raises UsageError for a text that no scheduler could be told."""

    name: str
    inventory: Path
    arguments: tuple[str, ...]
    store: Path
    at: str = "02:30"
    jitter: int = 0
    budget: int = 0
    run_as: str = ""
    credentials: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        paths = (str(path) for path in (self.inventory, self.store, *self.credentials.values()))
        for text in (*paths, *self.arguments, self.at, *self.environment.values()):
            if not text.isprintable():
                raise UsageError(f"{text!r} can't be written into a schedule", "it has a character that can't be printed")


def said(command: Sequence[str], text: str | None = None) -> str:
    """What a program prints. Raises OpdeployError with what it complains of."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OpdeployError(f"{command[0]}: {error}") from error
    if done.returncode:
        why = done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}"
        raise OpdeployError(f"{' '.join(command)}: {' '.join(why.split())}")
    return done.stdout
