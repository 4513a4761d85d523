"""What a drift check found, so that two nights can be compared, and what people are told of it. Pure.

A message leaves the controller: it names hosts, resources and properties, says why a host was not read, and holds no value.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePath
from typing import Literal, NamedTuple

from opdeploy.memory import WHOLE, differing
from opdeploy.model import ExitCode
from opdeploy.rendering import plain, printable
from opdeploy.results import HostResult, Item, Run

LONGEST_REASON = 300  # characters of why a host was not read, or the check failed
BUG = re.compile(r"(a bug: \w+): .*", re.DOTALL)  # as the engine tells one, in words that may quote anything
CUT = "… 1,000,000 more lines"
EXPIRED = "waiver expired"


class Finding(NamedTuple):
    """One thing that is not as it should be. `what` is ``service/Spooler``, '' for the host as a whole; `properties` which of
    its differ, or that it is missing or too much; `found` a digest of what it is instead: it tells nights apart, and nobody
    is told of it."""

    host: str
    what: str
    state: str
    properties: str = ""
    found: str = ""

    @property
    def about(self) -> tuple[str, str, bool]:
        """What stays the same while its state changes; a waiver is not the resource that it names."""
        return self.host, self.what, self.state == EXPIRED

    def __str__(self) -> str:
        told = f"{self.host}: {self.what} ({self.state})" if self.what else f"{self.host}: {self.state}"
        return printable(f"{told}: {self.properties}" if self.properties else told)


@dataclass(frozen=True)
class Message:
    """What people are told. `closing` says where to look, and is never cut away."""

    title: str
    lines: tuple[str, ...]
    closing: str
    kind: Literal["info", "warning", "failure"]

    def text(self, longest: int, end: str = "\n") -> str:
        """Whole lines, as many as there is room for, and how many were left out."""
        ends = list(accumulate(len(line) + len(end) for line in self.lines))
        room = longest - len(self.closing)
        count = len(ends) if ends[-1] <= room else bisect_right(ends, room - len(CUT) - len(end))
        left = len(ends) - count
        return end.join([*self.lines[:count], *([f"… {left} more lines"] if left else []), self.closing])


def findings(run: Run) -> tuple[Finding, ...]:
    """Every difference that counts, every host that was not read and every waiver that ended, sorted."""
    found = {one for host in run.hosts for one in _of(host)}
    ended = {
        Finding(use.hosts, use.resource, EXPIRED, ", ".join(use.properties)) for use in run.waivers if use.state == "expired"
    }
    return tuple(sorted(found | ended))


def _of(host: HostResult) -> Iterator[Finding]:
    if host.error:
        yield Finding(host.name, "", host.status)
    for item in host.items:
        if item.code != ExitCode.OK:
            yield Finding(host.name, item.id, _state(item), _properties(item), _found(item))


def _state(item: Item) -> str:
    if item.change.verdict == "unknown":
        return "unknown"
    return item.drift.kind.replace("_", " ") if item.drift else "differs"


def _properties(item: Item) -> str:
    if differing(item.change) == (WHOLE,):
        return "too much" if item.change.resource.absent else "missing"
    return ", ".join(_names(item))


def _found(item: Item) -> str:
    """Of an unknown nothing was found."""
    if item.change.verdict == "unknown":
        return ""
    found = json.dumps({name: plain(item.change.properties[name].before) for name in _names(item)})
    return hashlib.sha256(found.encode()).hexdigest()


def _names(item: Item) -> list[str]:
    """The properties that differ, and no waiver accepts."""
    waived = {name for waiver in item.drift.waived for name in waiver.properties} if item.drift else set()
    return sorted(set(item.change.properties) - waived)


def remembered(run: Run, before: Sequence[Finding]) -> tuple[Finding, ...]:
    """Tonight's, and what was known of a host that could not be read: nobody has seen that it is gone."""
    unread = {host.name for host in run.hosts if host.error}
    return tuple(sorted({*findings(run), *(one for one in before if one.what and one.host in unread)}))


def message(run: Run, before: Sequence[Finding], wrong: Sequence[str] = (), code: ExitCode | None = None) -> Message | None:
    """What is new since `before`; None where nothing is. Told every time: a host that could not be read, and what went `wrong`
    with the check itself. `code`: with which it ends, where that is not the run's.
    """
    now = remembered(run, before)
    unread = _unread(run)
    known = frozenset(before)
    new = [str(one) for one in now if one.what and one not in known]
    wrong = [*wrong, *([] if run.hosts else ["no host was read: there was none"])]
    sections = (("went wrong", wrong), ("could not be read", unread), ("new or changed", new), *_over(run, before, now))
    if not any(lines for _, lines in sections):
        return None
    counts = ", ".join(f"{len(lines)} {name}" for name, lines in sections if lines)
    same = sum(one in known and one.what != "" for one in now)
    return Message(
        f"opdeploy: {counts} ({_practice(run.inventory)})",
        (*(line for name, lines in sections if lines for line in _section(name, lines)), f"as before: {same}"),
        f"exit code {int(code or run.code)}; opdeploy history show {run.run_id}, on {run.by.rpartition('@')[2]}",
        "failure" if wrong or unread else "warning" if new else "info",
    )


def _unread(run: Run) -> list[str]:
    return ["; ".join(filter(None, (_why_unread(host), host.absence))) for host in run.hosts if host.error]


def _why_unread(host: HostResult) -> str:
    return f"{host.name}: {host.status}: {_reason(host.error)}"


def _over(run: Run, before: Sequence[Finding], now: Sequence[Finding]) -> Iterator[tuple[str, list[str]]]:
    """What is told no more, by why."""
    there, hosts = {one.about for one in now}, {host.name for host in run.hosts}
    gone = [one for one in before if one.about not in there]
    here = [one for one in gone if one.host in hosts or one.state == EXPIRED]
    waived = {(host.name, item.id, False) for host in run.hosts for item in host.items if _state(item) == "waived"}
    yield "read again", [one.host for one in here if not one.what]
    yield "waived now", [str(one) for one in here if one.about in waived]
    yield "settled", [str(one) for one in here if one.what and one.about not in waived]
    yield "not checked any more", list(dict.fromkeys(one.host for one in gone if one not in here))


def _section(name: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"{name}:"
    yield from (f"- {line}" for line in lines)


def failure(inventory: str, why: str, on: str) -> Message:
    """What people are told where the check itself came to nothing."""
    closing = f"nobody knows how the servers are; look at the log on {on}"
    return Message(f"opdeploy: the drift check failed ({_practice(inventory)})", (_reason(why),), closing, "failure")


def not_written(run: Run, why: str) -> Message:
    """What people are told where hosts were read and nobody can look it up later, or say what of it is new: all of it."""
    found = [str(one) for one in findings(run) if one.what]
    sections = (("could not be read", _unread(run)), ("found", found or ["no difference on any host that was read"]))
    return Message(
        f"opdeploy: the drift check could not be written down ({_practice(run.inventory)})",
        (_reason(why), *(line for name, lines in sections if lines for line in _section(name, lines))),
        f"the next check tells it again; look at the log on {run.by.rpartition('@')[2]}",
        "failure",
    )


def _practice(inventory: str) -> str:
    return printable(PurePath(inventory).name)


def _reason(text: str) -> str:
    told = printable(BUG.sub(r"\1", text))
    return told if len(told) <= LONGEST_REASON else told[:LONGEST_REASON] + "…"
