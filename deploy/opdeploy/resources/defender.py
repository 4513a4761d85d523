"""Whether Microsoft Defender is the antivirus that guards a host, by the host's own word.

`Get-MpComputerStatus` tells: AMRunningMode is Normal where Defender is active (Microsoft, 'Microsoft Defender Antivirus in
Windows', which names every mode but "Not running", that is only seen). In passive mode AMServiceEnabled and AntivirusEnabled
stay true, so a Defender without AMRunningMode can only be known to be off; platform 4.18.2008.9 of August 2020 brought it, by
its release notes. On Windows 10 and 11 Security Center names the other products. A server has no Security Center: another
product beside an active Defender is not seen there.

That it is off proves nothing: somebody may have stopped it, or an update is under way. It counts where another product is on,
or on a server where the policy that turns Defender off is set. Windows 10 and 11 ignore that policy, and so does a server that
is onboarded to Defender for Endpoint, from platform 4.18.2108.4 on (Microsoft, 'DisableAntiSpyware'): Defender goes on there,
in mode Normal, unless it was stopped besides, which is not told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opdeploy.calls import cim_read, cmdlet_read, registry_read
from opdeploy.formats import security_center
from opdeploy.model import Unknown
from opdeploy.resources.base import Answers, Reads

ENABLED = ("AMServiceEnabled", "AntivirusEnabled")
READS: Reads = {
    "status": cmdlet_read("Get-MpComputerStatus", ["AMRunningMode", *ENABLED]),
    "products": cim_read("root/SecurityCenter2", "AntiVirusProduct", ["displayName", "productState"]),
    "turned_off": registry_read(r"SOFTWARE\Policies\Microsoft\Windows Defender", values=["DisableAntiSpyware"]),
}
ACTIVE, OFF = "normal", "not running"
STANDING_BACK = ("passive", "passive mode", "sxs passive mode", "edr block mode")

NOT_INSTALLED = "CommandNotFoundException"
STOPPED = "HRESULT 0x800106ba"  # what the Defender cmdlets answer while its service does not run
NO_SECURITY_CENTER = "HRESULT 0x8004100e"  # no such namespace: a server has none
TOO_OLD = (
    "Defender is too old to say in which mode it runs (AMRunningMode, since platform 4.18.2008.9): "
    "it may be active or passive; update it, or say for this host which antivirus guards it"
)
NOBODY_ELSE = (
    "and nothing here says that another antivirus guards this host: start WinDefend, or if another one does, "
    "say `other` for this host"
)


class Said(NamedTuple):
    """Why Defender is not active; '' where it is. `off`: it may merely have been stopped."""

    why: str
    off: bool = False


def standing_back(answers: Answers) -> str:
    """Why Defender is not active here; '' where it is. Raises `Unknown` where the host does not say, or contradicts itself."""
    why, off = _by_its_status(answers)
    try:
        others = ", ".join(_others(answers))
    except Unknown:
        if why and not off:  # its own word is enough
            return why
        raise
    if others and not why:
        raise Unknown(f"Defender says that it is active, and Windows Security Center that {others} is on")
    if others:
        return f"{why}; {others} is on, Windows Security Center says"
    return _on_purpose(why, answers) if off else why


def _on_purpose(why: str, answers: Answers) -> str:
    """Where it is off on a server by a policy. Raises `Unknown` where it may merely have been stopped."""
    if _is_server(answers) and _policy(answers) == 1:
        return f"{why}; a policy turns it off (DisableAntiSpyware)"
    raise Unknown(f"{why}, {NOBODY_ELSE}")


def _policy(answers: Answers) -> Any:
    values = answers.turned_off["values"].values() if answers.turned_off else ()
    return next((data for _, data in values), None)


def _by_its_status(answers: Answers) -> Said:
    if failure := answers.failure("status"):
        if failure.id.startswith(NOT_INSTALLED):
            return Said("Defender is not installed here")
        if failure.id.startswith(STOPPED):
            return Said("Defender does not run here", off=True)
        raise Unknown(f"Get-MpComputerStatus: {failure.message}")
    if not answers.status:
        raise Unknown("Get-MpComputerStatus answered nothing")
    return _judged(answers.status[0])


def _judged(status: Mapping[str, Any]) -> Said:
    mode, enabled = status.get("AMRunningMode") or "", {name: status.get(name) for name in ENABLED}
    if mode.lower() in (*STANDING_BACK, OFF):
        return Said(f"Defender is not active here (AMRunningMode: {mode})", off=mode.lower() == OFF)
    if disabled := [name for name, value in enabled.items() if value is False]:
        return Said(f"Defender is not active here ({disabled[0]}: False)", off=True)
    if not mode:
        raise Unknown(TOO_OLD)
    if mode.lower() != ACTIVE or None in enabled.values():
        raise Unknown(f"whether Defender is active is not clear from Get-MpComputerStatus (AMRunningMode: {mode})")
    return Said("")


def _is_server(answers: Answers) -> bool:
    failure = answers.failure("products")
    return failure is not None and failure.id.startswith(NO_SECURITY_CENTER)


def _others(answers: Answers) -> list[str]:
    """Which products but Defender are on, as Security Center has it."""
    if _is_server(answers):
        return []
    if failure := answers.failure("products"):
        raise Unknown(f"Windows Security Center: {failure.message}")
    return [str(product.get("displayName")) for product in answers.products if _guards(product)]


def _guards(product: Mapping[str, Any]) -> bool:
    try:
        told = security_center.parse(product["productState"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unknown(f"Windows Security Center, {product.get('displayName')}: {error}") from error
    return told.state == "on" and not told.windows_own
