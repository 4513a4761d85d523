"""Security templates: the INF files of `secedit /export` and of group policies (GptTmpl.inf).

MS-GPSB 2.2. UTF-16LE with BOM and CRLF; sections in any order, keys ignore case, blanks around `=` are optional.
Entries are kept verbatim, line by line; only [Privilege Rights] (2.2.6) is read and written by meaning. What a right
that is missing means depends on the file: in an export *nobody*, in a policy's template *not configured*.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PRIVILEGE_RIGHTS = "Privilege Rights"

# Keys ignore case, so rights are given back in the spelling of MS-GPSB 2.2.6 and winnt.h. Unknown ones stay as written.
RIGHTS = (
    "SeAssignPrimaryTokenPrivilege", "SeAuditPrivilege", "SeBackupPrivilege", "SeBatchLogonRight",
    "SeChangeNotifyPrivilege", "SeCreateGlobalPrivilege", "SeCreatePagefilePrivilege", "SeCreatePermanentPrivilege",
    "SeCreateSymbolicLinkPrivilege", "SeCreateTokenPrivilege", "SeDebugPrivilege",
    "SeDelegateSessionUserImpersonatePrivilege", "SeDenyBatchLogonRight", "SeDenyInteractiveLogonRight",
    "SeDenyNetworkLogonRight", "SeDenyRemoteInteractiveLogonRight", "SeDenyServiceLogonRight",
    "SeEnableDelegationPrivilege", "SeImpersonatePrivilege", "SeIncreaseBasePriorityPrivilege",
    "SeIncreaseQuotaPrivilege", "SeIncreaseWorkingSetPrivilege", "SeInteractiveLogonRight", "SeLoadDriverPrivilege",
    "SeLockMemoryPrivilege", "SeMachineAccountPrivilege", "SeManageVolumePrivilege", "SeNetworkLogonRight",
    "SeProfileSingleProcessPrivilege", "SeRelabelPrivilege", "SeRemoteInteractiveLogonRight",
    "SeRemoteShutdownPrivilege", "SeRestorePrivilege", "SeSecurityPrivilege", "SeServiceLogonRight",
    "SeShutdownPrivilege", "SeSyncAgentPrivilege", "SeSystemEnvironmentPrivilege", "SeSystemProfilePrivilege",
    "SeSystemtimePrivilege", "SeTakeOwnershipPrivilege", "SeTcbPrivilege", "SeTimeZonePrivilege",
    "SeTrustedCredManAccessPrivilege", "SeUndockPrivilege", "SeUnsolicitedInputPrivilege",
)  # fmt: skip
_SPELLING = {right.lower(): right for right in RIGHTS}
_SECTION = re.compile(r"\[([^\]]*)\]\s*")
_SID = re.compile(r"S-1-\d+(-\d+)*", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """`name` without brackets; `entries` the lines below it as they stand, without blank ones."""

    name: str
    entries: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """The sections in the order of the file; lines before the first one are a section named ''."""

    sections: tuple[Section, ...]


def parse(content: bytes | str) -> Template:
    """Read a template. Raises ValueError where the bytes are no text or there is no section in it."""
    text = content if isinstance(content, str) else decode(content)
    names: list[str] = [""]
    entries: list[list[str]] = [[]]
    for line in re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")):
        if header := _SECTION.fullmatch(line.strip()):
            names.append(header[1])
            entries.append([])
        elif line.strip():
            entries[-1].append(line)
    sections = tuple(Section(name, tuple(lines)) for name, lines in zip(names, entries, strict=True) if name or lines)
    if not any(section.name for section in sections):
        raise ValueError("not a security template: it has no [section] line (MS-GPSB 2.2)")
    return Template(sections)


def render(template: Template) -> bytes:
    """Print a template as secedit writes and wants it: UTF-16LE, BOM, CRLF."""
    lines: list[str] = []
    for section in template.sections:
        lines += [f"[{section.name}]"] if section.name else []
        lines += section.entries
    return codecs.BOM_UTF16_LE + "".join(f"{line}\r\n" for line in lines).encode("utf-16-le")


def privilege_rights(template: Template) -> dict[str, tuple[str, ...]]:
    """Right -> its holders: SIDs without their `*`, other names as written; () = the template says nobody."""
    rights: dict[str, tuple[str, ...]] = {}
    for section in template.sections:
        if section.name.strip().lower() == PRIVILEGE_RIGHTS.lower():
            rights |= dict(map(_right, filter(_is_entry, section.entries)))
    return rights


def rights_template(rights: Mapping[str, Iterable[str]]) -> Template:
    """A template that sets these rights and nothing else; holders are SIDs or account names.

    Raises ValueError on a name that a template cannot hold (a quotation mark or a line end).
    """
    entries = (f"{right} = {','.join(map(_holder, holders))}".rstrip() for right, holders in rights.items())
    return Template(
        (
            Section("Unicode", ("Unicode=yes",)),
            Section("Version", ('signature="$CHICAGO$"', "Revision=1")),
            Section(PRIVILEGE_RIGHTS, tuple(entries)),
        )
    )


def right_name(text: str) -> str:
    """A right in Windows' spelling; one that is not known here stays as written."""
    return _SPELLING.get(text.strip().lower(), text.strip())


def decode(content: bytes) -> str:
    """Text of a template: UTF-16 by its BOM, else UTF-8 (or ASCII). Raises ValueError on anything else."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not a security template: neither UTF-16 with BOM nor UTF-8 ({error.reason})") from None


def _is_entry(line: str) -> bool:
    return "=" in line and not line.lstrip().startswith(";")


def _right(line: str) -> tuple[str, tuple[str, ...]]:
    name, _, value = line.partition("=")
    cells = next(csv.reader([value.strip()], skipinitialspace=True), [])
    holders = dict.fromkeys(cell.strip().removeprefix("*") for cell in cells)
    return right_name(name), tuple(holder for holder in holders if holder)


def _holder(name: str) -> str:
    if re.search(r'["\r\n]', name) or not name.strip():
        raise ValueError(f"{name!r} cannot stand in a security template: give the account's name or SID")
    if _SID.fullmatch(name):
        return f"*{name}"
    return f'"{name}"' if "," in name else name
