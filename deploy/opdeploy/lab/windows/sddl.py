"""Security descriptors: SDDL text and the self-relative binary form, both ways [MS-DTYP 2.4.4, 2.4.5, 2.4.6, 2.5.1].

The lab's own reading, apart from ``opdeploy.formats``. Plain ACEs only (allow, deny, audit): what Windows keeps for files,
services and tasks here. Inheritance is in `inheritance`.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

ALIASES = {
    "WD": "S-1-1-0", "CO": "S-1-3-0", "CG": "S-1-3-1", "OW": "S-1-3-4", "NU": "S-1-5-2", "IU": "S-1-5-4",
    "SU": "S-1-5-6", "AN": "S-1-5-7", "AU": "S-1-5-11", "SY": "S-1-5-18", "LS": "S-1-5-19", "NS": "S-1-5-20",
    "AC": "S-1-15-2-1", "BA": "S-1-5-32-544", "BU": "S-1-5-32-545", "BG": "S-1-5-32-546", "PU": "S-1-5-32-547",
    "BO": "S-1-5-32-551", "RD": "S-1-5-32-555", "NO": "S-1-5-32-556", "MU": "S-1-5-32-558", "LU": "S-1-5-32-559",
    "CD": "S-1-5-32-574", "ER": "S-1-5-32-573", "RM": "S-1-5-32-580",
}  # fmt: skip
BY_SID = {sid: alias for alias, sid in ALIASES.items()}
RELATIVE = {"LA": 500, "LG": 501, "DU": 513}
"""Aliases that stand for an account of this machine: they need its SID. Windows prints LA and LG so."""

RIGHTS = {
    "CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100,
    "SD": 0x10000, "RC": 0x20000, "WD": 0x40000, "WO": 0x80000,
    "GX": 0x20000000, "GW": 0x40000000, "GR": 0x80000000, "GA": 0x10000000,
}  # fmt: skip
WHOLE = {"FA": 0x1F01FF, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0, "KA": 0xF003F, "KR": 0x20019}
FILE_WHOLE = {WHOLE[token]: token for token in ("FA", "FR", "FW", "FX")}
PRINT_ORDER = ("CC", "DC", "LC", "SW", "RP", "WP", "DT", "LO", "CR", "SD", "RC", "WD", "WO", "GA", "GX", "GW", "GR")

OI, CI, NP, IO, ID, SA, FA = 0x1, 0x2, 0x4, 0x8, 0x10, 0x40, 0x80
FLAGS = {"OI": OI, "CI": CI, "NP": NP, "IO": IO, "ID": ID, "SA": SA, "FA": FA}
TYPES = {"A": 0, "D": 1, "AU": 2}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
GENERIC = 0xF0000000

_PART = re.compile(r"([OGDS]):(.*?)(?=(?:[OGDS]:|\Z))", re.DOTALL)
_ACE = re.compile(r"\(([^()]*)\)")
_SELF_RELATIVE, _DACL, _SACL, _AI, _P = 0x8000, 0x4, 0x10, 0x400, 0x1000


@dataclass(frozen=True)
class Ace:
    type: int
    flags: int
    mask: int
    sid: str


@dataclass(frozen=True)
class Acl:
    """`control` is some of 'P', 'AR', 'AI'."""

    aces: tuple[Ace, ...] = ()
    control: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Descriptor:
    owner: str = ""
    group: str = ""
    dacl: Acl | None = None
    sacl: Acl | None = None


def parse(text: str, machine_sid: str = "") -> Descriptor:
    """Raises ValueError where Windows would say that the SDDL is invalid."""
    found = Descriptor()
    rest = text.strip()
    if _PART.sub("", rest):
        raise ValueError("the SDDL form of a security descriptor object is invalid")
    for letter, body in _PART.findall(rest):
        if letter in "OG":
            sid = _sid(body, machine_sid)
            found = replace(found, owner=sid) if letter == "O" else replace(found, group=sid)
        else:
            acl = _acl(body, machine_sid)
            found = replace(found, dacl=acl) if letter == "D" else replace(found, sacl=acl)
    return found


def render(descriptor: Descriptor, machine_sid: str = "", *, files: bool = True) -> str:
    """As Windows prints it; `files` says whether FA, FR and the like stand for masks."""
    text = ""
    if descriptor.owner:
        text += "O:" + sid_text(descriptor.owner, machine_sid)
    if descriptor.group:
        text += "G:" + sid_text(descriptor.group, machine_sid)
    for letter, acl in (("D:", descriptor.dacl), ("S:", descriptor.sacl)):
        if acl is not None:
            text += letter + _control(acl) + "".join(ace_text(ace, machine_sid, files=files) for ace in acl.aces)
    return text


def ace_text(ace: Ace, machine_sid: str = "", *, files: bool = True) -> str:
    flags = "".join(name for name, bit in FLAGS.items() if ace.flags & bit)
    who = sid_text(ace.sid, machine_sid)
    return f"({TYPE_NAMES[ace.type]};{flags};{_mask_text(ace.mask, files)};;;{who})"


def sid_text(sid: str, machine_sid: str) -> str:
    if machine_sid and sid.startswith(machine_sid + "-"):
        rid = sid.rpartition("-")[2]
        return {"500": "LA", "501": "LG"}.get(rid, sid)
    return BY_SID.get(sid, sid)


def _control(acl: Acl) -> str:
    return "".join(flag for flag in ("P", "AR", "AI") if flag in acl.control)


def _mask_text(mask: int, files: bool) -> str:
    if files and mask in FILE_WHOLE:
        return FILE_WHOLE[mask]
    names = [name for name in PRINT_ORDER if mask & RIGHTS[name]]
    if sum(RIGHTS[name] for name in names) == mask:
        return "".join(names)
    return hex(mask)


def _sid(text: str, machine_sid: str) -> str:
    text = text.strip().upper()
    if text in ALIASES:
        return ALIASES[text]
    if text in RELATIVE and machine_sid:
        return f"{machine_sid}-{RELATIVE[text]}"
    if not re.fullmatch(r"S-1-\d+(-\d+)+", text):
        raise ValueError(f"{text!r} is no SID")
    return text


def _acl(body: str, machine_sid: str) -> Acl:
    head = body.partition("(")[0]
    if not re.fullmatch(r"(P|AR|AI)*", head) or _ACE.sub("", body[len(head) :]):
        raise ValueError("the SDDL form of a security descriptor object is invalid")
    control = frozenset(flag for flag in ("AR", "AI") if flag in head)
    if "P" in head:
        control |= {"P"}
    return Acl(tuple(_ace(ace, machine_sid) for ace in _ACE.findall(body)), control)


def _ace(text: str, machine_sid: str) -> Ace:
    fields = text.split(";")
    if len(fields) != 6 or fields[0] not in TYPES:
        raise ValueError(f"({text}) is no entry that the lab models")
    return Ace(TYPES[fields[0]], _flags(fields[1]), _mask(fields[2]), _sid(fields[5], machine_sid))


def _flags(text: str) -> int:
    return sum({FLAGS[text[at : at + 2]] for at in range(0, len(text), 2)})


def _mask(text: str) -> int:
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", text):
        return int(text, 0) if text.lower().startswith("0x") or not text.startswith("0") else int(text, 8)
    mask = 0
    for at in range(0, len(text), 2):
        token = text[at : at + 2]
        mask |= WHOLE[token] if token in WHOLE else RIGHTS[token]
    return mask


# ---------------------------------------------------------------- binary, self-relative


def to_bytes(descriptor: Descriptor) -> bytes:
    """In the order that Windows writes: SACL, DACL, owner, group."""
    control, body, offsets = _SELF_RELATIVE, b"", {"owner": 0, "group": 0, "sacl": 0, "dacl": 0}
    for name, acl, bit in (("sacl", descriptor.sacl, _SACL), ("dacl", descriptor.dacl, _DACL)):
        if acl is not None:
            control |= bit | _control_bits(acl, bit)
            offsets[name] = 20 + len(body)
            body += _acl_bytes(acl)
    for name, sid in (("owner", descriptor.owner), ("group", descriptor.group)):
        if sid:
            offsets[name] = 20 + len(body)
            body += sid_bytes(sid)
    head = struct.pack("<BBH4I", 1, 0, control, offsets["owner"], offsets["group"], offsets["sacl"], offsets["dacl"])
    return head + body


def from_bytes(data: bytes) -> Descriptor:
    _, _, control, owner, group, sacl, dacl = struct.unpack_from("<BBH4I", data)
    return Descriptor(
        owner=_sid_from(data, owner) if owner else "",
        group=_sid_from(data, group) if group else "",
        dacl=_acl_from(data, dacl, control, _DACL) if dacl else None,
        sacl=_acl_from(data, sacl, control, _SACL) if sacl else None,
    )


def sid_bytes(sid: str) -> bytes:
    _, _, authority, *rest = sid.split("-")
    return struct.pack("<BB", 1, len(rest)) + int(authority).to_bytes(6, "big") + struct.pack(f"<{len(rest)}I", *map(int, rest))


def _control_bits(acl: Acl, bit: int) -> int:
    shift = 1 if bit == _SACL else 0
    return (_P << shift if "P" in acl.control else 0) | (_AI << shift if "AI" in acl.control else 0)


def _acl_bytes(acl: Acl) -> bytes:
    body = b""
    for ace in acl.aces:
        sid = sid_bytes(ace.sid)
        body += struct.pack("<BBHI", ace.type, ace.flags, 8 + len(sid), ace.mask) + sid
    return struct.pack("<BBHHH", 2, 0, 8 + len(body), len(acl.aces), 0) + body


def _acl_from(data: bytes, at: int, control: int, bit: int) -> Acl:
    count = struct.unpack_from("<H", data, at + 4)[0]
    aces, place = [], at + 8
    for _ in range(count):
        type, flags, size, mask = struct.unpack_from("<BBHI", data, place)
        aces.append(Ace(type, flags, mask, _sid_from(data, place + 8)))
        place += size
    shift = 1 if bit == _SACL else 0
    flags = frozenset(name for name, value in (("P", _P), ("AI", _AI)) if control & value << shift)
    return Acl(tuple(aces), flags)


def _sid_from(data: bytes, at: int) -> str:
    count = data[at + 1]
    authority = int.from_bytes(data[at + 2 : at + 8], "big")
    return "-".join(["S", "1", str(authority), *map(str, struct.unpack_from(f"<{count}I", data, at + 8))])
