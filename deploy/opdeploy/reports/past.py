"""A run of the store as the document that was printed of it: every format shows it as it was. Pure.

Only what differed is recorded; how much was in sync is known by its count. A run that never ended has the hosts that it set
about to change, and each change that it did not come back from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from opdeploy.reports.document import OF_RUN, Report, windows
from opdeploy.resources.manual_step import ManualStep
from opdeploy.results import VERDICTS
from opdeploy.store.history import PastChange, PastHost, PastRun

NEVER_ENDED = "this run never ended: it was killed, or is under way"
UNKNOWN_OUTCOME = "begun {at}, and never ended: nobody knows what came of it"
UNCOUNTED = "recorded by an earlier version: how much was in sync is not known"
OF_HOST = ("name", "details", "hint")
OF_CHANGE = ("id", "roles", "kind", "key", "verdict", "action", "known_after_apply", "may_reboot", "outcome", "error", "reboot",
             "last_applied", "drift")  # fmt: skip
OF_STEP = ("title", "who", "how", "why")


def report(run: PastRun, hosts: Sequence[PastHost]) -> Report:
    """The whole run."""
    told = [_host(host) for host in hosts]
    document = {
        **_picked(run, (*OF_RUN, "tool")),
        "summary": {verdict: sum(host["summary"][verdict] for host in told) for verdict in VERDICTS},
        "manual_steps": {
            "open": sum(len(host["manual_steps"]) for host in told),
            "signed": sum(host.signed for host in hosts),
        },
        "hosts": told,
    }
    return Report.model_validate(document)


def _host(host: PastHost) -> dict[str, Any]:
    machine = windows(host.machine)
    return {
        **_picked(host, OF_HOST),
        "status": host.status or "failed",
        "error": host.error if host.status else NEVER_ENDED,
        "warnings": [*host.warnings, *([UNCOUNTED] if host.status and host.summary is None else [])],
        "windows": machine.model_dump() if machine else None,
        "reboot": asdict(host.reboot),
        "evidence": asdict(host.evidence),
        "summary": _summary(host),
        "resources": [_resource(change) for change in host.changes if change.kind != ManualStep.KIND],
        "manual_steps": [_step(change, host.desired) for change in host.changes if change.kind == ManualStep.KIND],
    }


def _summary(host: PastHost) -> dict[str, int]:
    counted = host.summary or Counter(change.verdict for change in host.changes if change.kind != ManualStep.KIND)
    return {verdict: counted.get(verdict, 0) for verdict in VERDICTS}


def _resource(change: PastChange) -> dict[str, Any]:
    properties = [{"name": name, "before": was, "after": will} for name, (was, will) in change.properties.items()]
    return {**_picked(change, OF_CHANGE), "properties": properties, "reason": _reason(change)}


def _reason(change: PastChange) -> str:
    unknown = UNKNOWN_OUTCOME.format(at=change.begun_at) if change.never_ended else ""
    return "; ".join(filter(None, (change.reason, unknown)))


def _step(change: PastChange, desired: Mapping[str, Any]) -> dict[str, Any]:
    text = {name: desired.get(change.id, {}).get(name, "") for name in OF_STEP}
    return {**_picked(change, ("roles", "verdict", "reason")), **text, "id": change.key, "signed": None}


def _picked(of: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}
