"""One drift check of an inventory at a time, and how the next one knows that the one before was killed."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TextIO

from opdeploy.model import ExitCode, OpdeployError
from opdeploy.results import Run
from opdeploy.store import database


class Busy(OpdeployError):
    """Another check of the same inventory is at work: this one has read nothing (3)."""

    exit_code = ExitCode.UNKNOWN


def name_of(inventory: Path) -> str:
    """What an inventory is called among others: readable, and another for each folder."""
    path = inventory.resolve()
    readable = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:40]
    return f"{readable or 'inventory'}-{sha256(os.fsencode(path)).hexdigest()[:6]}"


@contextmanager
def alone(folder: Path, run: Run) -> Iterator[str]:
    """Holds an inventory's lock, and yields what to say of a check before that was killed, '' if none was. Raises Busy.

    The kernel frees the lock of a process that is gone, however it went; its name stays in the file unless it came to its end.
    """
    path = folder / f"drift-{name_of(Path(run.inventory))}.lock"
    with database.told(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "this one has read nothing; wait for the other, or end it"
            holder = _holder(file.read()) or "it has just begun"
            raise Busy(f"a drift check of {run.inventory} is at work already: {holder}", hint) from None
        before = file.read()
        holder = _holder(before)
        with database.told(path):
            _write(file, json.dumps({"by": run.by, "since": run.created_at, "pid": os.getpid()}))
        try:
            yield f"the check before{holder and f', {holder},'} did not come to its end" if before else ""
        finally:
            _write(file, "")


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _holder(text: str) -> str:
    """Who holds the lock; '' where it had no time to say so."""
    try:
        holder = json.loads(text)
        return f"by {holder['by']} since {holder['since']} (process {holder['pid']})"
    except (ValueError, TypeError, KeyError):
        return ""
