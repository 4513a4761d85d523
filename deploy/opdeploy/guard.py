"""What is refused from the start: a change that would lock its own session, or Windows' own accounts, out.

Pure: a change and what is known of the host in, a reason or '' out. One function a kind, by its name; each looks at what
the change would leave behind. A host's firewall rule or right that is already as we would refuse to make it is no change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opdeploy.model import Change, Machine
from opdeploy.resources.base import Answers

# WinRM, what it needs (HTTP, RPC and its mappers, the event log), and the firewall that lets its port through.
CARRIERS = {"winrm", "http", "rpcss", "dcomlaunch", "rpceptmapper", "mpssvc", "bfe", "eventlog", "lsm", "samss"}


@dataclass(frozen=True)
class Session:
    """What carries the run: the port it came in by."""

    port: int = 5986


def objection(change: Change[Any], answers: Answers, machine: Machine, session: Session) -> str:
    """Why this change must not be made, '' if nothing speaks against it."""
    if change.action == "none":
        return ""
    judge = _JUDGES.get(change.resource.KIND)
    return judge(change, machine, session) if judge else ""


def _service(change: Change[Any], machine: Machine, session: Session) -> str:
    service = change.resource
    if service.name.lower() not in CARRIERS:
        return ""
    stops = service.absent or service.state == "stopped" or service.start_mode in ("disabled", "manual")
    return f"refused: this session, or the next, needs {service.name}" if stops else ""


_JUDGES: dict[str, Callable[[Change[Any], Machine, Session], str]] = {
    "service": _service,
}
