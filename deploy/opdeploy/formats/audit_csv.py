"""Audit policy as CSV: `auditpol /backup`, `auditpol /get /category:* /r`, and the audit.csv of a group policy.

MS-GPAC 2.2.1 (columns), 2.2.1.2 (subcategories), 2.2.1.3.1 (values). Read by position: header, names and words are
translated, only the GUID and the number are not. `/get /r` has no number, so its words are understood in English only.
Options, global SACLs, rows of single users and rows not understood are kept verbatim.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["backup", "get", "gpo"]

# Names are those of English auditpol, before each the one part of {0CCE92xx-69AE-11D9-BED3-505054503030} that varies.
_NAMES = {
    "System": "10 Security State Change|11 Security System Extension|12 System Integrity|13 IPsec Driver|"
    "14 Other System Events",
    "Logon/Logoff": "15 Logon|16 Logoff|17 Account Lockout|18 IPsec Main Mode|19 IPsec Quick Mode|"
    "1A IPsec Extended Mode|1B Special Logon|1C Other Logon/Logoff Events|43 Network Policy Server|"
    "47 User / Device Claims|49 Group Membership",
    "Object Access": "1D File System|1E Registry|1F Kernel Object|20 SAM|21 Certification Services|"
    "22 Application Generated|23 Handle Manipulation|24 File Share|25 Filtering Platform Packet Drop|"
    "26 Filtering Platform Connection|27 Other Object Access Events|44 Detailed File Share|45 Removable Storage|"
    "46 Central Policy Staging",
    "Privilege Use": "28 Sensitive Privilege Use|29 Non Sensitive Privilege Use|2A Other Privilege Use Events",
    "Detailed Tracking": "2B Process Creation|2C Process Termination|2D DPAPI Activity|2E RPC Events|"
    "48 Plug and Play Events|4A Token Right Adjusted Events",
    "Policy Change": "2F Audit Policy Change|30 Authentication Policy Change|31 Authorization Policy Change|"
    "32 MPSSVC Rule-Level Policy Change|33 Filtering Platform Policy Change|34 Other Policy Change Events",
    "Account Management": "35 User Account Management|36 Computer Account Management|37 Security Group Management|"
    "38 Distribution Group Management|39 Application Group Management|3A Other Account Management Events",
    "DS Access": "3B Directory Service Access|3C Directory Service Changes|3D Directory Service Replication|"
    "3E Detailed Directory Service Replication",
    "Account Logon": "3F Credential Validation|40 Kerberos Service Ticket Operations|41 Other Account Logon Events|"
    "42 Kerberos Authentication Service",
}
SUBCATEGORIES = {
    f"{{0CCE92{entry[:2]}-69AE-11D9-BED3-505054503030}}": entry[3:] for names in _NAMES.values() for entry in names.split("|")
}
"""GUID, upper case with braces -> English name."""
_GUID_OF = {name.lower(): guid for guid, name in SUBCATEGORIES.items()}

NONE, SUCCESS, FAILURE, BOTH = 0, 1, 2, 3
_WORDS = {"no auditing": NONE, "success": SUCCESS, "failure": FAILURE, "success and failure": BOTH}
_GPO_UNCHANGED, _GPO_NONE = 0, 4
_GUID = re.compile(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", re.IGNORECASE)
_HEADER = "Machine Name,Policy Target,Subcategory,Subcategory GUID,Inclusion Setting,Exclusion Setting,Setting Value"


@dataclass(frozen=True)
class Row:
    """One line's cells as they stand; `guid` and `value` where it is a subcategory of the system's policy.

    `value`: 0 none, 1 success, 2 failure, 3 both; None where the line sets nothing or does not say in a way we know.
    """

    cells: tuple[str, ...]
    guid: str | None = None
    value: int | None = None


@dataclass(frozen=True)
class AuditPolicy:
    dialect: Dialect
    header: tuple[str, ...]
    rows: tuple[Row, ...]


def parse(content: str | bytes) -> AuditPolicy:
    """Read any of the three dialects. Raises ValueError where it is none of them."""
    lines = _lines(_text(content))
    if not lines or len(lines[0]) not in (6, 7):
        raise ValueError("not an audit policy: expected CSV of 6 or 7 columns (auditpol /get /r, /backup)")
    dialect = _dialect(lines)
    return AuditPolicy(dialect, lines[0], tuple(_row(dialect, cells) for cells in lines[1:]))


def render(policy: AuditPolicy) -> str:
    """Print the CSV in its dialect, with CRLF."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([policy.header, *(row.cells for row in policy.rows)])
    return out.getvalue()


def settings(policy: AuditPolicy) -> dict[str, int | None]:
    """GUID -> value of the system's policy. A GUID that is missing: not applicable there, or left to others."""
    return {row.guid: row.value for row in policy.rows if row.guid}


def setting(guid: str, value: int, machine: str = "") -> Row:
    """A line as `/backup` writes it, for a policy made by hand. Raises ValueError on an unknown value."""
    words = {number: word for word, number in _WORDS.items()}
    if value not in words:
        raise ValueError(f"audit setting {value}: expected 0 none, 1 success, 2 failure or 3 both")
    guid = guid.upper()
    name, word = SUBCATEGORIES.get(guid, guid), words[value].title().replace("And", "and")
    return Row((machine, "System", name, guid, word, "", str(value)), guid, value)


def backup(rows: tuple[Row, ...]) -> AuditPolicy:
    """A policy in the dialect of `/backup`."""
    return AuditPolicy("backup", tuple(_HEADER.split(",")), rows)


def subcategory(text: str) -> str:
    """The GUID of a subcategory from its GUID or English name. Raises ValueError that lists the names."""
    word = text.strip()
    if _GUID.fullmatch(word):
        return word.upper()
    name = word.lower().removeprefix("audit ") if word.lower() not in _GUID_OF else word.lower()
    if name in _GUID_OF:
        return _GUID_OF[name]
    raise ValueError(f"{text!r} is no audit subcategory: expected a GUID in braces or one of {', '.join(_GUID_OF)}")


def _text(content: str | bytes) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        # auditpol writes in the code page of the console; what differs between code pages is names and words only.
        return content.decode("cp437")


def _lines(text: str) -> list[tuple[str, ...]]:
    try:
        return [tuple(cells) for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if any(cells)]
    except csv.Error as error:
        raise ValueError(f"not an audit policy: {error}") from None


def _dialect(lines: list[tuple[str, ...]]) -> Dialect:
    if len(lines[0]) == 6:
        return "get"
    return "backup" if any(cells[0] for cells in lines[1:]) else "gpo"


def _row(dialect: Dialect, cells: tuple[str, ...]) -> Row:
    columns = 6 if dialect == "get" else 7
    if len(cells) < columns or cells[1].lower() != "system" or not _GUID.fullmatch(cells[3].strip()):
        return Row(cells)
    value = _WORDS.get(cells[4].strip().lower()) if dialect == "get" else _number(dialect, cells[6].strip())
    return Row(cells, cells[3].strip().upper(), value)


def _number(dialect: Dialect, text: str) -> int | None:
    number = int(text) if re.fullmatch("[0-9]", text) else -1
    if dialect == "gpo" and number in (_GPO_UNCHANGED, _GPO_NONE):
        return NONE if number == _GPO_NONE else None
    return number if number in range(4) else None
