"""Whether Microsoft Defender is the antivirus that guards a host, by the host's own word.

`Get-MpComputerStatus` tells: AMRunningMode is Normal where Defender is active (Microsoft, 'Microsoft Defender Antivirus in
Windows', which names every mode but "Not running", that is only seen). In passive mode AMServiceEnabled and AntivirusEnabled
stay true, so a Defender without AMRunningMode can only be known to be off; platform 4.18.2008.9 of August 2020 brought it, by
its release notes. On Windows 10 and 11 Security Center names the other products. A server has no Security Center: another
product beside an active Defender is not seen there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opdeploy.calls import cim_read, cmdlet_read
from opdeploy.formats import security_center
from opdeploy.model import Unknown
from opdeploy.resources.base import Answers, Reads

ENABLED = ("AMServiceEnabled", "AntivirusEnabled")
READS: Reads = {
    "status": cmdlet_read("Get-MpComputerStatus", ["AMRunningMode", *ENABLED]),
    "products": cim_read("root/SecurityCenter2", "AntiVirusProduct", ["displayName", "productState"]),
}
ACTIVE = "normal"
STANDING_BACK = ("passive", "passive mode", "sxs passive mode", "edr block mode", "not running")

STOPPED = "HRESULT 0x800106ba"  # what the Defender cmdlets answer while its service does not run
NOT_THERE = {"CommandNotFoundException": "Defender is not installed here", STOPPED: "Defender does not run here"}
NO_SECURITY_CENTER = "HRESULT 0x8004100e"  # no such namespace
TOO_OLD = (
    "Defender is too old to say in which mode it runs (AMRunningMode, since platform 4.18.2008.9): "
    "it may be active or passive; update it, or say for this host which antivirus guards it"
)


def standing_back(answers: Answers) -> str:
    """Why Defender is not active here; '' where it is. Raises `Unknown` where the host does not say, or contradicts itself."""
    why = _by_its_status(answers)
    try:
        others = ", ".join(_others(answers))
    except Unknown:
        if why:  # its own word is enough
            return why
        raise
    if others and not why:
        raise Unknown(f"Defender says that it is active, and Windows Security Center that {others} is on")
    return f"{why}; {others} is on, Windows Security Center says" if others else why


def _by_its_status(answers: Answers) -> str:
    if failure := answers.failure("status"):
        for id, why in NOT_THERE.items():
            if failure.id.startswith(id):
                return why
        raise Unknown(f"Get-MpComputerStatus: {failure.message}")
    if not answers.status:
        raise Unknown("Get-MpComputerStatus answered nothing")
    return _judged(answers.status[0])


def _judged(status: Mapping[str, Any]) -> str:
    mode, enabled = status.get("AMRunningMode") or "", {name: status.get(name) for name in ENABLED}
    if mode.lower() in STANDING_BACK:
        return f"Defender is not active here (AMRunningMode: {mode})"
    if off := [name for name, value in enabled.items() if value is False]:
        return f"Defender is not active here ({off[0]}: False)"
    if not mode:
        raise Unknown(TOO_OLD)
    if mode.lower() != ACTIVE or None in enabled.values():
        raise Unknown(f"whether Defender is active is not clear from Get-MpComputerStatus (AMRunningMode: {mode})")
    return ""


def _others(answers: Answers) -> list[str]:
    """Which products but Defender are on, as Security Center has it."""
    if failure := answers.failure("products"):
        if failure.id.startswith(NO_SECURITY_CENTER):
            return []
        raise Unknown(f"Windows Security Center: {failure.message}")
    return [str(product.get("displayName")) for product in answers.products if _guards(product)]


def _guards(product: Mapping[str, Any]) -> bool:
    try:
        told = security_center.parse(product["productState"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unknown(f"Windows Security Center, {product.get('displayName')}: {error}") from error
    return told.state == "on" and not told.windows_own
