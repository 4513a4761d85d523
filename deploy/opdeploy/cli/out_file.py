"""The file of ``--out``: there whole or not at all, and what would be in its way said before anything is read."""

from __future__ import annotations

import os
from pathlib import Path

from opdeploy import whole_file
from opdeploy.model import UsageError

ANOTHER = "name another file with --out"


def check(path: Path) -> None:
    """Raises UsageError where no file of this name could be written."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name a file with --out")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no ordinary file", ANOTHER)  # root would make one of a device
    if not os.access(path.parent, os.W_OK | os.X_OK):
        why = "no permission to write there" if path.parent.is_dir() else "no such folder"
        raise UsageError(f"{path.parent}: {why}", ANOTHER)


def write(path: Path, text: str, what: str, hint: str = ANOTHER) -> None:
    """`what` it is, for the error: 'the plan'; and what to do then."""
    try:
        whole_file.write(path, text)
    except OSError as error:
        raise UsageError(f"{path}: {what} can't be written: {error.strerror}", hint) from error
