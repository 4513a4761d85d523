"""Security templates, as far as user rights go: what `secedit /export` writes and `/configure` takes [MS-GPSB 2.2.6].

UTF-16LE with a byte order mark and CRLF. Local accounts are written by their bare names, everybody else as ``*SID``; a right
that nobody holds is missing.
"""

from __future__ import annotations

import re

from opdeploy.lab.windows import accounts
from opdeploy.lab.windows.state import State

_HEAD = "[Unicode]\r\nUnicode=yes\r\n[Privilege Rights]\r\n"
_TAIL = '[Version]\r\nsignature="$CHICAGO$"\r\nRevision=1\r\n'


def export(state: State) -> bytes:
    held = {right: ",".join(_written(state, sid) for sid in holders) for right, holders in state.rights.items() if holders}
    lines = [f"{right} = {holders}\r\n" for right, holders in held.items()]
    return b"\xff\xfe" + (_HEAD + "".join(lines) + _TAIL).encode("utf-16-le")


def _written(state: State, sid: str) -> str:
    if sid in state.users:
        return str(state.users[sid]["name"])
    if sid in state.groups and not sid.startswith("S-1-5-32-"):
        return str(state.groups[sid]["name"])
    return "*" + sid


def rights(template: bytes) -> dict[str, list[str]]:
    """Right in lower case -> holders as written; of a template's one section that the lab models."""
    text = template.decode("utf-16") if template[:2] == b"\xff\xfe" else template.decode("utf-8-sig")
    found: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        heading = re.fullmatch(r"\s*\[(.*)\]\s*", line)
        if heading:
            section = heading.group(1).lower()
        elif section == "privilege rights" and "=" in line:
            right, _, holders = line.partition("=")
            found[right.strip().lower()] = [item.strip() for item in holders.split(",") if item.strip()]
    return found


def configure(state: State, template: bytes) -> None:
    """Replaces each right that the template names. Raises ValueError where secedit fails: an account that nobody knows."""
    wanted = {right: [_holder(state, item) for item in holders] for right, holders in rights(template).items()}
    names = {name.lower(): name for name in state.rights} | {name.lower(): name for name in RIGHTS}
    for right in wanted:
        if right not in names:
            raise ValueError(f"{right} is no right")
    for right, holders in wanted.items():
        state.rights[names[right]] = list(dict.fromkeys(holders))


def _holder(state: State, text: str) -> str:
    sid = accounts.principal(state, text.removeprefix("*"))
    if sid is None:
        raise ValueError(f"No mapping between account names and security IDs was done: {text}")
    return sid


RIGHTS = (
    "SeNetworkLogonRight",
    "SeBackupPrivilege",
    "SeChangeNotifyPrivilege",
    "SeSystemtimePrivilege",
    "SeCreatePagefilePrivilege",
    "SeDebugPrivilege",
    "SeRemoteShutdownPrivilege",
    "SeAuditPrivilege",
    "SeIncreaseQuotaPrivilege",
    "SeIncreaseBasePriorityPrivilege",
    "SeLoadDriverPrivilege",
    "SeBatchLogonRight",
    "SeServiceLogonRight",
    "SeInteractiveLogonRight",
    "SeSecurityPrivilege",
    "SeSystemEnvironmentPrivilege",
    "SeProfileSingleProcessPrivilege",
    "SeSystemProfilePrivilege",
    "SeAssignPrimaryTokenPrivilege",
    "SeRestorePrivilege",
    "SeShutdownPrivilege",
    "SeTakeOwnershipPrivilege",
    "SeUndockPrivilege",
    "SeManageVolumePrivilege",
    "SeRemoteInteractiveLogonRight",
    "SeImpersonatePrivilege",
    "SeCreateGlobalPrivilege",
    "SeIncreaseWorkingSetPrivilege",
    "SeTimeZonePrivilege",
    "SeCreateSymbolicLinkPrivilege",
    "SeDelegateSessionUserImpersonatePrivilege",
    "SeTcbPrivilege",
    "SeMachineAccountPrivilege",
    "SeCreateTokenPrivilege",
    "SeCreatePermanentPrivilege",
    "SeEnableDelegationPrivilege",
    "SeLockMemoryPrivilege",
    "SeRelabelPrivilege",
    "SeSyncAgentPrivilege",
    "SeTrustedCredManAccessPrivilege",
    "SeDenyNetworkLogonRight",
    "SeDenyBatchLogonRight",
    "SeDenyServiceLogonRight",
    "SeDenyInteractiveLogonRight",
    "SeDenyRemoteInteractiveLogonRight",
)
