"""What the run store remembers of past runs, read: who ran what when, by whose approval, and what came of it.

A run that was begun and never ended is one that was killed, or one that is under way. Nothing in here writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from opdeploy.model import Action, Outcome, UsageError, Verdict
from opdeploy.reboots import Reboot
from opdeploy.results import Approval, Command, Drift, Evidence, Status, WaiverUse
from opdeploy.store import database
from opdeploy.store.records import NAME, Store, default_folder

EVERY_RUN = """
    SELECT run_id, command, created_at, by_whom, tool, inventory, sources, finished_at, code, plan, folder, practice, approvals,
        report
    FROM runs
"""
RUNS = f"""{EVERY_RUN}
    WHERE created_at >= ?1 AND (?2 = '' OR command = ?2) AND (?3 = '' OR EXISTS
        (SELECT 1 FROM hosts WHERE hosts.run_id = runs.run_id AND host = ?3
         UNION ALL SELECT 1 FROM changes WHERE changes.run_id = runs.run_id AND host = ?3))
    ORDER BY created_at DESC, rowid DESC LIMIT ?4
"""  # noqa: S608 - it is ours
IDS = "SELECT run_id FROM runs ORDER BY created_at DESC, rowid DESC"
RUN = f"{EVERY_RUN} WHERE run_id = ?"
HOSTS = "SELECT DISTINCT host FROM hosts UNION SELECT DISTINCT host FROM changes ORDER BY host"
HOSTS_OF = """
    SELECT host, status, reason, windows, evidence, report, resources FROM hosts JOIN desired ON digest = desired
    WHERE run_id = ? ORDER BY hosts.rowid
"""
CHANGES_OF = """
    SELECT host, kind, key, verdict, action, properties, reason, begun_at, ended_at, outcome, error, reboot, drift, report
    FROM changes
    WHERE run_id = ?1 AND (?2 = '' OR host = ?2) ORDER BY host, rowid
"""
OF_CHANGE = (
    "host", "kind", "key", "verdict", "action", "properties", "reason", "begun_at", "ended_at", "outcome", "error", "reboot",
    "drift",
)  # fmt: skip
# A manual step is no difference that a run closes. What was begun has no outcome yet.
CAME_TO = """
    WITH mine AS (SELECT *, outcome IS NULL AND begun_at IS NULL AS told,
            verdict = 'would_change' AND outcome IS NULL AND begun_at IS NULL AND kind <> 'manual_step' AS differs,
            coalesce(json_extract(nullif(drift, ''), '$.kind'), '') AS cause
        FROM changes WHERE run_id = ?1 AND (?2 = '' OR host = ?2))
    SELECT sum(outcome = 'applied'), sum(outcome = 'failed'), sum(outcome = 'refused'), sum(outcome = 'not_reached'),
        sum(begun_at NOTNULL AND outcome IS NULL), sum(differs AND cause = ''), sum(differs AND cause = 'corrective'),
        sum(differs AND cause = 'intentional'), sum(differs AND cause = 'never_applied'), sum(differs AND cause = 'waived'),
        sum(told AND verdict = 'unknown'),
        (SELECT count(*) FROM hosts WHERE run_id = ?1 AND (?2 = '' OR host = ?2) AND status = 'unreachable')
    FROM mine
"""

# A host that was not read has a reason. Runs are in the order in which they began, whatever the clock said.
UNREAD = """
    WITH checked AS (SELECT host, created_at, runs.rowid AS nth, reason <> '' AS unread FROM hosts JOIN runs USING (run_id)
            WHERE command = 'drift' AND host IN (SELECT value FROM json_each(?))),
        answered AS (SELECT host, max(nth) AS nth FROM checked WHERE NOT unread GROUP BY host)
    SELECT host, min(created_at), count(*) FROM checked LEFT JOIN answered USING (host)
    WHERE checked.nth > coalesce(answered.nth, 0) GROUP BY host
"""


@dataclass(frozen=True)
class CameTo:
    """How many changes of a run came to what. A drift check's differences are told by their cause."""

    applied: int = 0
    failed: int = 0
    refused: int = 0
    not_reached: int = 0
    never_ended: int = 0
    would_change: int = 0
    corrective: int = 0
    intentional: int = 0
    never_applied: int = 0
    waived: int = 0
    unknown: int = 0
    unreachable: int = 0  # hosts


@dataclass(frozen=True)
class PastRun:
    """`finished_at` and `code` are None for a run that never ended; `folder` and `practice` as `results.Practice` has them."""

    run_id: str
    command: Command
    created_at: str
    by: str
    tool: str
    inventory: str
    sources: str
    finished_at: str | None
    code: int | None
    plan: str
    folder: str
    practice: str
    approvals: tuple[Approval, ...]
    waivers: tuple[WaiverUse, ...]


@dataclass(frozen=True)
class PastChange:
    """One resource's difference, property by property (before, after), and what came of it."""

    host: str
    kind: str
    key: str
    verdict: Verdict
    action: Action
    properties: Mapping[str, tuple[Any, Any]]
    reason: str
    begun_at: str | None
    ended_at: str | None
    outcome: Outcome | None
    error: str
    reboot: str
    drift: Drift | None
    roles: tuple[str, ...] = ()
    known_after_apply: tuple[str, ...] = ()
    may_reboot: bool = False
    last_applied: str = ""

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.key}"

    @property
    def never_ended(self) -> bool:
        """Begun, and nobody knows what came of it."""
        return self.begun_at is not None and self.outcome is None

    @property
    def happened(self) -> bool:
        """Whether a run set about it, or was to and did not get there; or whether a drift check was the first to find it so."""
        found = self.drift is not None and self.drift.kind == "corrective" and not self.drift.last_seen
        return self.outcome is not None or self.never_ended or found


@dataclass(frozen=True)
class PastMachine:
    """What is recorded of a `model.Machine`."""

    product: str
    build: int
    powershell: str


@dataclass(frozen=True)
class PastHost:
    """`status` is '' where the run never ended; `machine` None for a host that did not say; `summary` where
    nobody counted: the run never ended, or an earlier version did not."""

    name: str
    status: Status | Literal[""] = ""
    error: str = ""
    machine: PastMachine | None = None
    evidence: Evidence = field(default_factory=Evidence)
    desired: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[PastChange, ...] = ()
    details: tuple[str, ...] = ()
    hint: str = ""
    warnings: tuple[str, ...] = ()
    reboot: Reboot = field(default_factory=Reboot)
    summary: Mapping[Verdict, int] | None = None
    signed: int = 0


# ---------------------------------------------------------------- reading


def opened(folder: Path | None) -> Store:
    """A store to read in. Raises UsageError where there is none. Nothing is made or written, so it may be anybody's, or a copy
    without its key; only one of an earlier schema is brought up first."""
    folder = folder or default_folder()
    path = folder / NAME
    with database.told(path, UsageError):
        connection = database.read_only(path)
        if database.schema(connection, path) == len(database.MIGRATIONS):
            return Store(folder, connection)
        connection.close()
    return Store.open(folder)


def runs(store: Store, host: str = "", command: str = "", since: str = "", limit: int = -1) -> list[PastRun]:
    """The newest first. `since`: ISO 8601 UTC. `limit` -1: all."""
    return [_run(row) for row in store.rows(RUNS, since, command, host.lower(), str(limit))]


def run_ids(store: Store) -> list[str]:
    """The newest first."""
    return [row[0] for row in store.rows(IDS)]


def hosts(store: Store) -> list[str]:
    """Every host that a run had."""
    return [row[0] for row in store.rows(HOSTS)]


def run(store: Store, run_id: str) -> PastRun:
    """Raises KeyError."""
    row = store.row(RUN, run_id)
    if row is None:
        raise KeyError(run_id)
    return _run(row)


def came_to(store: Store, run_id: str, host: str = "") -> CameTo:
    """Of all hosts, or of one."""
    counts = store.row(CAME_TO, run_id, host.lower())
    return CameTo(*(count or 0 for count in counts))


def unread(store: Store, hosts: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Which of these the last drift check could not read: since which one, ISO 8601 UTC, and how many in a row. By the name in
    lower case."""
    names = json.dumps([host.lower() for host in hosts])
    return {host: (since, times) for host, since, times in store.rows(UNREAD, names)}


def changes(store: Store, run_id: str, host: str = "") -> list[PastChange]:
    """In the order in which they were made or found, host by host."""
    return [_change(row) for row in store.rows(CHANGES_OF, run_id, host.lower())]


def hosts_of(store: Store, run_id: str) -> list[PastHost]:
    """With their changes. Of a run that never ended only those that it set about to change."""
    found: dict[str, list[PastChange]] = {}
    for change in changes(store, run_id):
        found.setdefault(change.host, []).append(change)
    known = [_host(row, tuple(found.pop(row[0], ()))) for row in store.rows(HOSTS_OF, run_id)]
    return [*known, *(PastHost(name, changes=tuple(made)) for name, made in found.items())]


# ---------------------------------------------------------------- rows


def _run(row: Any) -> PastRun:
    *told, approvals, report = row
    waivers = json.loads(report).get("waivers", ())
    return PastRun(*[*told, _APPROVALS.validate_python(json.loads(approvals)), _WAIVERS.validate_python(waivers)])


def _host(row: Any, made: tuple[PastChange, ...]) -> PastHost:
    name, status, reason, windows, evidence, report, desired = row
    told = {"error": reason} | json.loads(report)
    powershell = told.pop("powershell", "unknown")
    machine = {**found, "powershell": powershell} if (found := json.loads(windows)) else None
    read = {"machine": machine, "evidence": json.loads(evidence), "desired": json.loads(desired), "changes": made}
    return _HOST.validate_python({"name": name, "status": status, **read, **told})


def _change(row: Any) -> PastChange:
    *columns, report = row
    told = dict(zip(OF_CHANGE, columns, strict=True))
    documents = {"properties": json.loads(told["properties"]), "drift": json.loads(told["drift"] or "null")}
    return _CHANGE.validate_python(told | documents | json.loads(report))


_APPROVALS, _WAIVERS = TypeAdapter(tuple[Approval, ...]), TypeAdapter(tuple[WaiverUse, ...])
_HOST, _CHANGE = TypeAdapter(PastHost), TypeAdapter(PastChange)
