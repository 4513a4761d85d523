"""A run as one JSON document, ``opdeploy.report/1``: what ``--format json`` prints. docs/schemas/report.schema.json holds it.

Values stand there plain where they are plain; what has a form of its own (an account, a length of time, a recovery plan)
as the text that a person reads. A secret is ``(secret)``. No command in it holds one either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from opdeploy import __version__
from opdeploy.model import Change, Machine
from opdeploy.rendering import plain
from opdeploy.reports.text import product
from opdeploy.results import HostResult, Item, Run, may_reboot, open_steps, summary

SCHEMA = "opdeploy.report/1"


def report(run: Run) -> dict[str, Any]:
    """The whole run. Keys in the order in which a person would read them."""
    items = [item for host in run.hosts for item in host.items]
    return {
        "schema": SCHEMA,
        "tool": __version__,
        "run_id": run.run_id,
        "created_at": run.created_at,
        "by": run.by,
        "inventory": run.inventory,
        "sources": run.sources,
        "summary": summary([item.change for item in items]),
        "manual_steps": steps_summary(items),
        "hosts": [_host(host, run.command) for host in run.hosts],
    }


def _host(host: HostResult, command: str) -> dict[str, Any]:
    return {
        "name": host.name,
        "status": host.status,
        "reason": joined([host.reason, host.hint]),
        "warnings": list(host.warnings),
        "windows": windows(host.machine),
        "reboot": {"pending": list(host.reboot.pending), "wanted": dict(host.reboot.wanted), "done": host.reboot.done or None},
        "session": asdict(host.cost) | {"seconds": round(host.cost.seconds, 3)},
        "resources": [_item(item, command) for item in host.resources],
        "manual_steps": manual_steps(host),
    }


def windows(machine: Machine | None) -> dict[str, Any] | None:
    """Product, build and PowerShell; None for a host that did not say."""
    if machine is None:
        return None
    return {"product": product(machine), "build": machine.build, "powershell": machine.powershell}


def _item(item: Item, command: str) -> dict[str, Any]:
    told = change(item.change)
    told["reason"] = joined([item.change.reason, item.error])
    told["commands"] = list(item.commands)
    if item.words:
        told["diff"] = list(item.words)
    if item.outcome:
        told["outcome"] = item.outcome
    if item.reboot:
        told["reboot"] = item.reboot
    if command == "drift":
        told["last_applied"] = item.last_applied or None
    return told


def change(change: Change[Any]) -> dict[str, Any]:
    """One change as reports and plan files have it, without what only one of them says."""
    return {
        "id": f"{change.resource.KIND}/{change.resource.key}",
        "roles": list(change.roles),
        "kind": change.resource.KIND,
        "key": change.resource.key,
        "verdict": change.verdict,
        "action": change.action,
        "properties": {n: {"before": plain(p.before), "after": plain(p.after)} for n, p in change.properties.items()},
        "known_after_apply": list(change.known_after_apply),
        "reason": str(change.reason),
        "may_reboot": may_reboot(change),
    }


def steps_summary(items: Sequence[Item]) -> dict[str, int]:
    """How many manual steps are open, and how many signed off."""
    count = open_steps(items)
    return {"open": count, "signed": sum(item.by_hand for item in items) - count}


def manual_steps(host: HostResult) -> list[dict[str, Any]]:
    """What a person does there, in reports and plan files; `signed` is None for a step that is open."""
    return [_manual_step(item.change) for item in host.manual_steps]


def _manual_step(change: Change[Any]) -> dict[str, Any]:
    step = change.resource
    return {
        "id": step.id,
        "roles": list(change.roles),
        "title": step.title,
        "who": step.who,
        "how": step.how,
        "why": step.why,
        "reason": str(change.reason),
        "signed": change.actual.signed.model_dump() if change.actual else None,
    }


def joined(texts: Sequence[str]) -> str:
    return "; ".join(text for text in texts if text)
