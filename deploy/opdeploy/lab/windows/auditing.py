"""The audit policy: `auditpol /backup` and `/set`, by GUID. Windows keeps it where only SYSTEM reads.

Shape: ``state.audit`` is GUID -> number (1 success, 2 failure, 3 both) of each subcategory that is not as a server comes;
names, order and file are those of a real export. [MS-GPAC 2.2.1]
"""

from __future__ import annotations

import re
from collections.abc import Callable

from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.state import State

PRIVILEGE_NOT_HELD, BAD_PARAMETER = 1314, 87
Ended = tuple[int, bytes]

_WORDS = ("No Auditing", "Success", "Failure", "Success and Failure")
_OPTIONS = ("CrashOnAuditFail", "FullPrivilegeAuditing", "AuditBaseObjects", "AuditBaseDirectories")
# The part of the GUID that varies, the value of a server after installation, the name.
_TABLE = (
    "13 0 IPsec Driver|12 3 System Integrity|11 0 Security System Extension|10 1 Security State Change|"
    "14 3 Other System Events|49 0 Group Membership|47 0 User / Device Claims|43 3 Network Policy Server|"
    "1C 0 Other Logon/Logoff Events|"
    "1B 1 Special Logon|1A 0 IPsec Extended Mode|19 0 IPsec Quick Mode|18 0 IPsec Main Mode|17 1 Account Lockout|16 1 Logoff|"
    "15 3 Logon|1D 0 File System|1E 0 Registry|1F 0 Kernel Object|20 0 SAM|21 0 Certification Services|"
    "22 0 Application Generated|23 0 Handle Manipulation|24 0 File Share|25 0 Filtering Platform Packet Drop|"
    "26 0 Filtering Platform Connection|27 0 Other Object Access Events|44 0 Detailed File Share|45 0 Removable Storage|"
    "46 0 Central Policy Staging|28 0 Sensitive Privilege Use|29 0 Non Sensitive Privilege Use|"
    "2A 0 Other Privilege Use Events|2B 0 Process Creation|2C 0 Process Termination|2D 0 DPAPI Activity|2E 0 RPC Events|"
    "48 0 Plug and Play Events|4A 0 Token Right Adjusted Events|2F 1 Audit Policy Change|30 1 Authentication Policy Change|"
    "31 0 Authorization Policy Change|32 0 MPSSVC Rule-Level Policy Change|33 0 Filtering Platform Policy Change|"
    "34 0 Other Policy Change Events|35 1 User Account Management|36 1 Computer Account Management|"
    "37 1 Security Group Management|38 0 Distribution Group Management|39 0 Application Group Management|"
    "3A 0 Other Account Management Events|3B 1 Directory Service Access|3C 0 Directory Service Changes|"
    "3D 0 Directory Service Replication|3E 0 Detailed Directory Service Replication|3F 1 Credential Validation|"
    "40 1 Kerberos Service Ticket Operations|41 0 Other Account Logon Events|42 1 Kerberos Authentication Service"
)
SUBCATEGORIES = {
    f"{{0CCE92{part}-69AE-11D9-BED3-505054503030}}": (name, int(number))
    for part, number, name in (entry.split(" ", 2) for entry in _TABLE.split("|"))
}
"""GUID -> English name and the value of a server after installation."""


def value(state: State, guid: str) -> int:
    return int(state.audit.get(guid, SUBCATEGORIES[guid][1]))


def export(state: State, token: Token) -> Ended:
    """The file that `/backup` writes."""
    if not token.elevated:
        return _failed(PRIVILEGE_NOT_HELD, "A required privilege is not held by the client.")
    host = state.facts.name
    lines = ["Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,Setting Value"]
    for guid, (name, _) in SUBCATEGORIES.items():
        number = value(state, guid)
        lines.append(f"{host},System,{name},{guid},{_WORDS[number]},,{number}")
    lines += [f"{host},,Option:{option},,Disabled,,0" for option in _OPTIONS]
    lines += [f"{host},,FileGlobalSacl,,,,", f"{host},,RegistryGlobalSacl,,,,"]
    return 0, "".join(f"{line}\r\n" for line in lines).encode("ascii")


def change(state: State, token: Token, words: list[str]) -> Ended:
    """`/set` of one subcategory; a word that is missing leaves its part as it is."""
    if not token.elevated:
        return _failed(PRIVILEGE_NOT_HELD, "A required privilege is not held by the client.")
    options = {name.lower(): text for name, _, text in (word.partition(":") for word in words)}
    guid = options.pop("/subcategory", "").upper()
    if guid not in SUBCATEGORIES or not options or not all(_known(option, text) for option, text in options.items()):
        return _failed(BAD_PARAMETER, "The parameter is incorrect.")
    number = value(state, guid)
    for option, text in options.items():
        bit = 1 if option == "/success" else 2
        number = number | bit if text.lower() == "enable" else number & ~bit
    state.audit.pop(guid, None)
    if number != SUBCATEGORIES[guid][1]:
        state.audit[guid] = number
    return 0, b"The command was successfully executed.\r\n"


def _known(option: str, text: str) -> bool:
    return option in ("/success", "/failure") and re.fullmatch("enable|disable", text, re.IGNORECASE) is not None


def _failed(code: int, text: str) -> Ended:
    return code, f"Error 0x{code:08X} occurred:\r\n{text}\r\n\r\n".encode("ascii")


PROGRAMS: dict[tuple[str, str], Callable[[State, Token, list[str]], Ended]] = {("auditpol.exe", "/set"): change}
