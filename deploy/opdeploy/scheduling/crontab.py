"""A nightly check as a line of the user's crontab, between two lines that say whose it is. All others stay as they are.

crontab(5): a percent sign is a line end unless a backslash stands before it, and cron takes the backslash away; two backslashes
may become one (do_command.c of Vixie's cron and its heirs). The rest is for /bin/sh.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable

from opdeploy.model import OpdeployError, UsageError
from opdeploy.scheduling.nightly import PREFIX, TIME_OF_DAY, Nightly, said

BEGIN = "# {name}: made by opdeploy drift schedule, up to its end"
END = "# {name}: end"
OURS = re.compile(rf"^# ({PREFIX}[a-z0-9-]+): made by", re.MULTILINE)
PIECE = re.compile(r"%|\\|[^%\\]+")


def block(nightly: Nightly) -> str:
    """Its lines. Raises UsageError for what cron can't do."""
    if not TIME_OF_DAY.fullmatch(nightly.at):
        raise UsageError(f"--at {nightly.at}: cron is told a time of the day", "write 02:30; systemd knows more than that")
    if nightly.credentials:
        raise UsageError("cron gives no credentials", "write {from_file: PATH} in the inventory instead")
    hour, _, minute = nightly.at.partition(":")
    begin, end = _marks(nightly.name)
    given = [f"{name}={word(value)}" for name, value in nightly.environment.items()]
    command = " ".join([*given, *map(word, nightly.arguments)])
    return f"{begin}\n{int(minute)} {int(hour)} * * * {command}\n{end}\n"


def word(text: str) -> str:
    """One word, for cron and then for the shell."""
    pieces = {"%": r"\%", "\\": r"'\'"}
    return "".join(pieces.get(piece) or shlex.quote(piece) for piece in PIECE.findall(text)) or "''"


def install(nightly: Nightly) -> None:
    """Writes its block, in the place of an earlier one. Raises OpdeployError."""
    new, table = block(nightly), read()
    old = _block(nightly.name, table)
    said(["crontab", "-"], table.replace(old, new) if old else table + new)


def remove(name: str) -> bool:
    """Whether there was one. Raises OpdeployError."""
    old = block_of(name)
    if old:
        said(["crontab", "-"], read().replace(old, ""))
    return bool(old)


def installed() -> Iterable[str]:
    """Every block of ours."""
    table = read() if there() else ""
    return [_block(name, table) for name in OURS.findall(table)]


def block_of(name: str) -> str:
    """What stands there for one check, '' for nothing."""
    return _block(name, read()) if there() else ""


def there() -> bool:
    return shutil.which("crontab") is not None


def read() -> str:
    """The user's crontab, '' for none. Raises OpdeployError."""
    if not there():
        raise UsageError("there is no crontab here, and no systemd", "have something else start the check at night")
    try:
        table = said(["crontab", "-l"])
        return table if table.endswith("\n") or not table else f"{table}\n"
    except OpdeployError as error:
        if "no crontab for" in error.message:
            return ""
        raise


def _block(name: str, table: str) -> str:
    """What stands there for one check, its marks included; '' for nothing. Raises UsageError where its end is missing."""
    begin, end = _marks(name)
    _, found, rest = f"\n{table}".partition(f"\n{begin}\n")
    if not found:
        return ""
    inner, ended, _ = rest.partition(f"\n{end}\n")
    if not ended:
        raise UsageError(f"the crontab has the line {begin!r}, and no {end!r} below it", "mend it: crontab -e")
    return f"{begin}\n{inner}\n{end}\n"


def _marks(name: str) -> tuple[str, str]:
    return BEGIN.format(name=name), END.format(name=name)
