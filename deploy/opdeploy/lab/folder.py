"""The lab's own folder, ``.lab`` in an inventory: who has it, and what lies in it.

A lock (flock) on a file in it says that a lab runs: the kernel lets go of it when the process ends, however it ends, so
there is no stale state to guess about. All of the folder is the lab's and goes with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

LOCK, RUN, LOG = "lock", "run.json", "log"
PAUSE = 0.02  # seconds between two looks at the lock


class Taken(Exception):
    """Another lab has this folder."""


def claim(folder: Path) -> int:
    """Makes the folder (mode 0700) and takes it; gives the descriptor that holds it, for as long as it is open anywhere.

    What an earlier lab left there is removed. Raises Taken, or OSError where the folder can't be made.
    """
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Taken from None
        if _is_at(descriptor, folder / LOCK):
            break
        os.close(descriptor)  # its lab was just clearing it away
    for entry in folder.iterdir():
        if entry.name != LOCK:
            _remove(entry)
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def clear(folder: Path) -> None:
    """Removes the folder with all in it; the lock goes last, so that nobody takes it half full."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == LOCK):
        _remove(entry)
    folder.rmdir()


def clear_abandoned(folder: Path) -> None:
    """Removes what a lab left that was killed."""
    if (folder / LOCK).exists() and not in_use(folder):
        clear(folder)


def in_use(folder: Path) -> bool:
    """Whether a lab has it now."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_until_free(folder: Path, seconds: float) -> bool:
    """Whether its lab let go of it in time."""
    end = time.monotonic() + seconds
    while in_use(folder):
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


# ---------------------------------------------------------------- what lies in it


def write_private(path: Path, text: str) -> None:
    """A file of mode 0600, there whole or not at all."""
    piece = path.with_name(path.name + ".new")
    with os.fdopen(os.open(piece, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    piece.replace(path)


def write_run(folder: Path, run: dict[str, Any]) -> None:
    """How the running lab is spoken to."""
    write_private(folder / RUN, json.dumps(run))


def read_run(folder: Path) -> dict[str, Any] | None:
    """None where no lab runs, or where it is not ready yet."""
    if not in_use(folder):
        return None
    try:
        run: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run
