"""A text file that is there whole or not at all: written under another name beside it, then renamed. [rename(2)]"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o666) -> None:
    """`mode` as for open(2), less the umask; what is there already is replaced, and no more may read it than could before.

    Raises OSError, and leaves all as it was.
    """
    with suppress(FileNotFoundError):
        there = path.stat().st_mode
        if not stat.S_ISREG(there):
            raise OSError(errno.EINVAL, "it is no ordinary file, and would be one", str(path))
        mode &= stat.S_IMODE(there) | stat.S_IWUSR
    piece = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(piece, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
        piece.replace(path)
    finally:
        piece.unlink(missing_ok=True)
