"""Whether Windows waits to be started anew, when it last was, and what a run does about it. Pure. [formats.md 10]

Only what servicing and Windows Update say counts. Pending file renames alone come from any uninstaller's temporary files:
they are told, and nothing is done for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from opdeploy.calls import Answer, Failure, Read, boot_read, registry_read

Policy = Literal["never", "if_needed"]

_WINDOWS = r"SOFTWARE\Microsoft\Windows\CurrentVersion"
_SESSION_MANAGER = r"SYSTEM\CurrentControlSet\Control\Session Manager"
_RENAMES = ["PendingFileRenameOperations", "PendingFileRenameOperations2"]
SERVICING = registry_read(rf"{_WINDOWS}\Component Based Servicing\RebootPending", values=[])
UPDATE = registry_read(rf"{_WINDOWS}\WindowsUpdate\Auto Update\RebootRequired", values=[])
RENAMES = registry_read(_SESSION_MANAGER, values=_RENAMES)
READS: tuple[Read, ...] = (boot_read(), SERVICING, UPDATE, RENAMES)


@dataclass(frozen=True)
class Reboot:
    """What a run says of it. `pending`: what Windows itself waits with; `wanted`: this run's changes that want it, each with
    its reason; `done`: when Windows was up again, ISO 8601, '' if it was not started anew; `policy`: the inventory's."""

    pending: tuple[str, ...] = ()
    wanted: Mapping[str, str] = field(default_factory=dict)
    done: str = ""
    policy: Policy = "never"


def pending(answers: Mapping[str, Answer]) -> tuple[str, ...]:
    """What Windows waits with, by the answers to `READS`."""
    found = [name for read, name in ((SERVICING, "servicing"), (UPDATE, "Windows Update")) if _there(answers.get(read.key))]
    renames = answers.get(RENAMES.key)
    values: Any = renames.get("values", {}) if isinstance(renames, Mapping) else {}
    return (*found, "file renames") if values else tuple(found)


def _there(answer: Answer) -> bool:
    return answer is not None and not isinstance(answer, Failure)


def booted(answers: Mapping[str, Answer]) -> str:
    """When Windows was started, as it says; '' if it did not."""
    rows = answers.get(boot_read().key)
    return str(rows[0].get("LastBootUpTime", "")) if isinstance(rows, list) and rows else ""
