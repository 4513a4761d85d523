"""The event source of a host's work log: where it is kept, `apply` leaves word in the Application log of what it did there.

State like any other: two values of the registry, as Windows' documents of event sources have them (Event Sources, MS-EVEN
3.1.1.3) and as setup programs write them. The message file is the .NET Framework's own, which is part of Windows; in it the
text of every event id is the event's own text. `EventLog.CreateEventSource`, which is behind New-EventLog, names the same file.
"""

from __future__ import annotations

from collections.abc import Iterable

from opdeploy.resources.base import Resource
from opdeploy.resources.registry_value import RegistryValue

LOG, SOURCE = "Application", "opdeploy"
_KEY = rf"SYSTEM\CurrentControlSet\Services\EventLog\{LOG}\{SOURCE}"
_FILE = r"%SystemRoot%\Microsoft.NET\Framework64\v4.0.30319\EventLogMessages.dll"

MESSAGES = RegistryValue(path=_KEY, name="EventMessageFile", type="expand_string", data=_FILE)
TYPES = RegistryValue(path=_KEY, name="TypesSupported", type="dword", data=7)  # errors, warnings, information


def kept(resources: Iterable[Resource]) -> bool:
    """Whether a host that these are asked of keeps one."""
    return any(one.identity == MESSAGES.identity and not one.absent for one in resources)
