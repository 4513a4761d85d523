"""A run as data: what plan, apply and drift leave behind, for reports, records and exit codes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opdeploy.model import SETTLED, Change, ExitCode, Machine, Outcome, Verdict
from opdeploy.reboots import Reboot

Command = Literal["plan", "apply", "drift", "remove"]
Status = Literal["in_sync", "changes", "unknown", "unreachable", "failed"]
VERDICTS: tuple[Verdict, ...] = ("in_sync", "would_change", "unknown", "not_applicable")
_CODES: dict[Status, ExitCode] = {
    "in_sync": ExitCode.OK,
    "changes": ExitCode.CHANGES,
    "unknown": ExitCode.UNKNOWN,
    "unreachable": ExitCode.UNKNOWN,
    "failed": ExitCode.FAILED,
}


@dataclass(frozen=True)
class Cost:
    """What the session took. `loader` says which way the agent went in: ``plain`` or ``raw``."""

    posts: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0.0
    loader: str = "plain"


@dataclass(frozen=True)
class Evidence:
    """What a host was sent and what a plan rests on, for who must believe that nothing was written.

    `reads`, `writes`: every verb that was sent, with its cmdlet, program or class, sorted. `agents`: SHA-256 of each text
    that ran there. `answers`: keyed digest of the raw answers (`store.keys.digest`).
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    answers: str = ""


DriftKind = Literal["corrective", "intentional", "never_applied", "waived", "unknown"]


@dataclass(frozen=True)
class Waived:
    """What a waiver accepts of one difference, until a date (ISO 8601)."""

    properties: tuple[str, ...]
    reason: str
    by: str
    until: str


@dataclass(frozen=True)
class Drift:
    """Where a difference comes from, and since when it is known, ISO 8601 UTC.

    ``corrective``: the host was as desired and is not any more. ``intentional``: the inventory moved on and was not applied.
    `last_seen`: by a run before this one; '' for none.
    """

    kind: DriftKind
    first_seen: str
    last_seen: str
    waived: tuple[Waived, ...] = ()


@dataclass(frozen=True)
class WaiverUse:
    """What became of one waiver of the inventory in a drift check. `at`: file:line."""

    at: str
    hosts: str
    resource: str
    properties: tuple[str, ...]
    reason: str
    by: str
    until: str
    state: Literal["used", "unused", "expired"]


@dataclass(frozen=True)
class Approval:
    """One signed word on a plan, verified. `key` as `ssh-keygen -l` prints it: ``SHA256:…``."""

    by: str
    decision: Literal["approve", "reject"]
    at: str
    note: str
    expires: str
    key: str


@dataclass(frozen=True)
class Item:
    """One resource of a host in a run: its change, the calls it amounts to, and after an apply what came of it."""

    change: Change[Any]
    commands: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # the difference of a file in words, with --diff
    outcome: Outcome | None = None
    error: str = ""
    cause: str = ""  # `error` without what a log on the host says of it; '' where none does
    reboot: str = ""  # why Windows wants to be started anew for it, where an apply made it
    last_applied: str = ""  # drift: when we last applied this resource, ISO 8601; '' if never
    drift: Drift | None = None  # of a drift check: where the difference comes from

    @property
    def id(self) -> str:
        return str(self.change.resource.address)

    @property
    def by_hand(self) -> bool:
        """Whether a person does it: told apart from what an apply could change."""
        return bool(self.change.resource.BY_HAND)

    @property
    def code(self) -> ExitCode:
        if self.outcome in ("failed", "refused"):
            return ExitCode.FAILED
        if self.by_hand and self.change.verdict == "would_change":
            return ExitCode.OK
        if self.outcome == "applied" or self.change.verdict in SETTLED:
            return ExitCode.OK
        if self.drift and self.drift.kind == "waived":
            return ExitCode.OK
        return ExitCode.UNKNOWN if self.change.verdict == "unknown" else ExitCode.CHANGES


@dataclass(frozen=True)
class HostResult:
    name: str
    items: tuple[Item, ...] = ()
    machine: Machine | None = None
    cost: Cost = Cost()
    error: str = ""  # why the host as a whole was not read or applied, in one line
    details: tuple[str, ...] = ()  # what that says of single properties, a line each
    hint: str = ""
    error_status: Status = "unreachable"
    warnings: tuple[str, ...] = ()
    absence: str = ""  # that one of the warnings which people are told too: since when no check could read it
    reboot: Reboot = Reboot()
    evidence: Evidence = Evidence()

    @property
    def reason(self) -> str:
        """`error` with its details, in one line."""
        return ": ".join(filter(None, (self.error, "; ".join(self.details))))

    @property
    def resources(self) -> tuple[Item, ...]:
        """What an apply answers for."""
        return tuple(item for item in self.items if not item.by_hand)

    @property
    def manual_steps(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.by_hand)

    @property
    def status(self) -> Status:
        if self.error:
            return self.error_status
        worst = ExitCode.worst([item.code for item in self.items])
        return next(status for status, code in _CODES.items() if code == worst and status != "unreachable")

    @property
    def code(self) -> ExitCode:
        return ExitCode.worst([_CODES[self.status], *(item.code for item in self.items)])


@dataclass(frozen=True)
class Practice:
    """Whose hosts are meant, where several practices call theirs the same: an inventory's resolved folder, and the name that it
    gives its practice, '' for none. Records of earlier versions have neither."""

    folder: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.folder

    def is_also(self, other: Practice) -> bool:
        """Whether both are one practice: of one name, wherever they lie; where one has no name, in one folder."""
        return self.name == other.name if self.name and other.name else self.folder == other.folder


@dataclass(frozen=True)
class Run:
    """Everything a report, a record or a plan file is made from."""

    command: Command
    run_id: str
    created_at: str  # ISO 8601, UTC
    by: str  # who, from where: 'anna@admin-pc'
    inventory: str
    sources: str  # digest of all that the desired state came from
    hosts: tuple[HostResult, ...] = ()
    roles: tuple[str, ...] = ()  # that it was limited to; none: all
    from_snapshots: bool = False  # nothing is known of now
    plan: str = ""  # the digest of the plan file that was applied
    approvals: tuple[Approval, ...] = ()
    waivers: tuple[WaiverUse, ...] = ()
    practice: Practice = Practice()

    @property
    def code(self) -> ExitCode:
        if self.command == "drift" and not self.hosts:  # a check that read nobody has not found everybody in sync
            return ExitCode.UNKNOWN
        return ExitCode.worst([host.code for host in self.hosts])


def summary(changes: Sequence[Change[Any]]) -> dict[Verdict, int]:
    """How many of each verdict; what a person does is counted apart."""
    ours = [change for change in changes if not change.resource.BY_HAND]
    return {verdict: sum(change.verdict == verdict for change in ours) for verdict in VERDICTS}


def open_steps(items: Sequence[Item]) -> int:
    """How many manual steps nobody has signed off as they stand now, though they are for this host."""
    return sum(item.by_hand and item.change.verdict not in SETTLED for item in items)


def may_reboot(change: Change[Any]) -> bool:
    """Whether applying this change may want Windows started anew."""
    return change.action != "none" and change.resource.may_reboot(change)
