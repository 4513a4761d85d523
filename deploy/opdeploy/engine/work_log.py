"""What an apply did to a host, as the events that it leaves in that host's own log. Pure.

Written for the practice's IT (roles/work_log): who, when, which run, each change with what came of it, property by property.
Whoever may read the Application log reads it, so secrets are hidden as everywhere, and of what may hold a password that no
Secret knows of (`store.tokens`) only the name is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from opdeploy import __version__
from opdeploy.calls import Write, cmdlet_write
from opdeploy.model import REFERENCE, Outcome
from opdeploy.rendering import printable, show, without_secrets
from opdeploy.resources.work_log import LOG, SOURCE
from opdeploy.results import HostResult, Item, Run
from opdeploy.store import tokens

DONE, NOT_ALL_DONE = 1, 2  # event ids
# Characters as Windows counts them. ReportEvent's page says 31,839; on Windows 10 the most was 31,718 (dotnet-api-docs #9999).
LONGEST = 30_000
LONGEST_LINE = 2_000
CUT = " … (cut)"
_INSERTION = re.compile(r"%(?=\d)")  # Event Viewer takes %1 for something to put in there


def events(result: HostResult, run: Run) -> list[Write]:
    """Nothing where nothing was tried: what was refused from the start was never begun."""
    told = [item for item in result.items if item.outcome]
    if not any(item.outcome in ("applied", "failed") for item in told):
        return []
    whole = not result.error and all(item.outcome == "applied" for item in told)
    lines = _clean([line for item in told for line in _item(item)])
    return [_event(whole, text) for text in _parts(list(_head(result, told, run)), lines)]


def _event(whole: bool, text: str) -> Write:
    id, type = (DONE, "Information") if whole else (NOT_ALL_DONE, "Warning")
    return cmdlet_write("Write-EventLog", LogName=LOG, Source=SOURCE, EntryType=type, EventId=id, Message=text)


def _head(result: HostResult, told: Sequence[Item], run: Run) -> Iterator[str]:
    counts = Counter(item.outcome for item in told)
    said = ", ".join(f"{counts[one]} {_word(one)}" for one in get_args(Outcome) if counts[one])
    yield f"opdeploy worked on this computer: {said}."
    yield f"by {printable(run.by)}, run {run.run_id} of {run.created_at}, opdeploy {__version__}"
    if result.error:
        yield f"the run ended early: {_clean([result.error])[0]}"
    if result.reboot.done:
        yield f"Windows was started anew; up since {result.reboot.done[:19].replace('T', ' ')} UTC"


def _item(item: Item) -> Iterator[str]:
    hidden, why = tokens.properties(item.change.resource), _why(item)
    action = "" if item.change.action == "none" else f"{item.change.action}, "
    head = f"{item.id}: {action}{_word(str(item.outcome))}"
    yield f"{head}: {why}" if why else head
    for name, each in item.change.properties.items():
        values = "changed, its values are not written here" if name in hidden else f"{show(each.before)} → {show(each.after)}"
        yield f"    {name}: {values}"


def _word(outcome: str) -> str:
    return outcome.replace("_", " ")


def _why(item: Item) -> str:
    """Why it was not done. What Windows says may quote a value that is hidden, and an installer's log any licence key."""
    if item.cause:
        return f"{item.cause}; what its log says stands in the run's report"
    why = item.error or (item.change.reason if item.outcome == "refused" else "")
    hidden = tokens.properties(item.change.resource) & set(item.change.properties)
    return "the reason stands in the run's report" if why and hidden else why


def _clean(texts: Sequence[str]) -> list[str]:
    """All at once, since secrets are looked for in the whole process."""
    return without_secrets("\n".join(map(printable, texts))).split("\n")


# ---------------------------------------------------------------- as much as an event takes


def _parts(head: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Each begins with the same head; which one it is stands in its first line, where there are several."""
    first, *rest = map(_shown, head)
    room = LONGEST - sum(map(_length, [first, *rest])) - _length(" Part 100 of 100.") - _length("")
    parts: list[list[str]] = [[]]
    left = room
    for line in map(_shown, lines):
        if _length(line) > left:
            parts.append([])
            left = room
        parts[-1].append(line)
        left -= _length(line)
    marks = [f" Part {number} of {len(parts)}." if len(parts) > 1 else "" for number in range(1, len(parts) + 1)]
    return ["\r\n".join([first + mark, *rest, "", *part]) for mark, part in zip(marks, parts, strict=True)]


def _shown(line: str) -> str:
    line = REFERENCE.sub("SID not known then", line)  # a call that still has one is not sent
    cut = line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - len(CUT)] + CUT
    return _INSERTION.sub("% ", cut)


def _length(line: str) -> int:
    """With its end."""
    return len(line.encode("utf-16-le")) // 2 + 2
