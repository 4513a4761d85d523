"""Whether a policy binds: it does where the account that applies could change neither it nor what leads to it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from os import stat_result
from pathlib import Path

from opdeploy.model import UsageError

LINKS = 40  # that are followed on the way to one file, as Linux does (path_resolution(7))
OWNER = "another account must own it and its folders, and alone may write there: docs/approvals.md"


def check_owner(path: Path) -> None:
    """Of the file as it is named, and of all that links lead over. Raises UsageError where the account could change one."""
    try:
        for file in _named(path):
            for number, place in enumerate((file, *file.parents)):
                if why := open_to(place.lstat(), os.geteuid(), above=number > 1):
                    raise UsageError(f"an approval policy that binds nobody: {place} {why}", OWNER)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", OWNER) from error


def _named(path: Path) -> Iterator[Path]:
    """The file as it is named, and as each link on the way to it names it in turn. Raises OSError for links without an end."""
    for _ in range(LINKS):
        yield path
        link = next((place for place in reversed((path, *path.parents)) if place.is_symlink()), None)
        if link is None:
            return
        path = link.parent / link.readlink() / path.relative_to(link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def open_to(found: stat_result, account: int, *, above: bool = False) -> str:
    """Why the account that applies could change a file or folder; '' where it could not.

    `above`: a folder further up, where root's own are no way in, and one like /tmp lets nobody rename what is another's.
    """
    if found.st_uid == account and not (above and account == 0):
        return "belongs to the account that applies"
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(found.st_mode)
    if shared and not (above and found.st_mode & stat.S_ISVTX):
        return "can be written by other accounts than its owner"
    return ""
