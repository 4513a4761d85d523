"""Security descriptors: who may do what with a file, a service, a task; as text (SDDL) and as stored bytes.

MS-DTYP 2.5.1.1 (the text), 2.4.6 (self-relative bytes), 2.4.4 (entries), 2.4.5 (order), 2.4.3 (masks). Both
spellings are read into one meaning: SIDs, not aliases; masks, not tokens. Conditions and resource attributes (`XA`,
`RA`) and entry types not known here are kept verbatim. What a mask means depends on the kind of object; the tables for
files and services stand at the end.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

SID = re.compile(r"S-1-(?:[0-9]+|0x[0-9a-f]+)(?:-[0-9]+)*", re.IGNORECASE)
_ALIAS = re.compile("[A-Z]{2}|%s", re.IGNORECASE)

_BUILTIN = {
    "BA": 544, "BU": 545, "BG": 546, "PU": 547, "AO": 548, "SO": 549, "PO": 550, "BO": 551, "RE": 552, "RU": 554,
    "RD": 555, "NO": 556, "MU": 558, "LU": 559, "IS": 568, "CY": 569, "ER": 573, "CD": 574, "RA": 575, "ES": 576,
    "MS": 577, "HA": 578, "AA": 579, "RM": 580,
}  # fmt: skip
ALIASES = {
    "WD": "S-1-1-0", "CO": "S-1-3-0", "CG": "S-1-3-1", "OW": "S-1-3-4", "NU": "S-1-5-2", "IU": "S-1-5-4",
    "SU": "S-1-5-6", "AN": "S-1-5-7", "ED": "S-1-5-9", "PS": "S-1-5-10", "AU": "S-1-5-11", "RC": "S-1-5-12",
    "SY": "S-1-5-18", "LS": "S-1-5-19", "NS": "S-1-5-20", "WR": "S-1-5-33", "AC": "S-1-15-2-1",
    "UD": "S-1-5-84-0-0-0-0-0", "LW": "S-1-16-4096", "ME": "S-1-16-8192", "MP": "S-1-16-8448", "HI": "S-1-16-12288",
    "SI": "S-1-16-16384",
} | {alias: f"S-1-5-32-{rid}" for alias, rid in _BUILTIN.items()}  # fmt: skip
MACHINE_ALIASES = {"LA": 500, "LG": 501}
DOMAIN_ALIASES = {
    "DA": 512, "DU": 513, "DG": 514, "DC": 515, "DD": 516, "CA": 517, "PA": 520, "CN": 522, "RS": 553, "AP": 525,
    "KA": 526, "EK": 527,
}  # fmt: skip
# Relative to the forest's root, which is not always the host's own domain: they stay aliases, which the host resolves.
FOREST_ALIASES = frozenset({"SA", "EA", "RO"})
# Every release since Windows Vista knows these, so only these are printed; the rest are printed as SIDs.
_PRINTED = {
    ALIASES[alias]: alias
    for alias in (
        "WD", "CO", "CG", "NU", "IU", "SU", "AN", "ED", "PS", "AU", "RC", "SY", "LS", "NS", "BA", "BU", "BG", "PU",
        "AO", "SO", "PO", "LW", "ME", "HI", "SI",
    )
}  # fmt: skip

_SPECIFIC = {"CC": 1, "DC": 2, "LC": 4, "SW": 8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100}
_STANDARD = {"SD": 0x10000, "RC": 0x20000, "WD": 0x40000, "WO": 0x80000}
_GENERIC = {"GA": 0x10000000, "GX": 0x20000000, "GW": 0x40000000, "GR": 0x80000000}
_SINGLE = _SPECIFIC | _STANDARD | _GENERIC
_WHOLE = {
    "FA": 0x1F01FF, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0, "KA": 0xF003F, "KX": 0x20019, "KW": 0x20006,
    "KR": 0x20019,
}  # fmt: skip
_LABEL = {"NW": 1, "NR": 2, "NX": 4}
_WHOLE_TOKEN = {mask: token for token, mask in _WHOLE.items()}

_FLAGS = {"OI": 1, "CI": 2, "NP": 4, "IO": 8, "ID": 0x10, "CR": 0x20, "SA": 0x40, "TP": 0x40, "FA": 0x80}
_TYPES = {
    "A": 0, "D": 1, "AU": 2, "AL": 3, "OA": 5, "OD": 6, "OU": 7, "OL": 8, "XA": 9, "XD": 10, "ZA": 11, "XU": 13,
    "ML": 0x11, "RA": 0x12, "SP": 0x13, "TL": 0x14, "FL": 0x15,
}  # fmt: skip
_TYPE_NAME = {number: name for name, number in _TYPES.items()}
_OBJECT_TYPES = frozenset({"OA", "OD", "OU", "OL", "ZA"})
_EXTRA_TYPES = frozenset({"XA", "XD", "ZA", "XU", "RA", "FL"})
_DENY_TYPES = frozenset({"D", "OD", "XD"})


@dataclass(frozen=True)
class Ace:
    """One entry. `sid` is a SID, or an alias that needs a base SID which was not given.

    `raw` is what was not taken apart: the condition or attribute in its parentheses, as text; read from bytes, `#` and
    hex of the application data. Of an entry type not known here it is the whole entry, and `mask` and `sid` are empty.
    """

    type: str
    flags: frozenset[str]
    mask: int
    sid: str
    object_guid: str = ""
    inherited_guid: str = ""
    raw: str = ""

    @property
    def inherited(self) -> bool:
        return "ID" in self.flags

    @property
    def denies(self) -> bool:
        return self.type in _DENY_TYPES


@dataclass(frozen=True)
class Acl:
    """`flags`: P takes nothing from above, AI was inherited into, AR asks for it. No `aces` in a DACL: nobody."""

    flags: frozenset[str] = frozenset()
    aces: tuple[Ace, ...] = ()


@dataclass(frozen=True)
class SecurityDescriptor:
    """`dacl` None: no DACL, or NO_ACCESS_CONTROL; either way everybody may do everything."""

    owner: str | None = None
    group: str | None = None
    dacl: Acl | None = None
    sacl: Acl | None = None


# --- text ---------------------------------------------------------------------------------------------------------


def parse(text: str, machine_sid: str | None = None, domain_sid: str | None = None) -> SecurityDescriptor:
    """Read SDDL. With the base SIDs, aliases of the machine (LA) and the domain (DA …) become SIDs as well.

    Raises ValueError that names what could not be read and where.
    """
    bases = _relative(machine_sid, MACHINE_ALIASES) | _relative(domain_sid, DOMAIN_ALIASES)
    parts = _parts(text)
    return SecurityDescriptor(
        owner=_sid(parts["O"], bases) if "O" in parts else None,
        group=_sid(parts["G"], bases) if "G" in parts else None,
        dacl=_acl(parts["D"], bases) if "D" in parts else None,
        sacl=_acl(parts["S"], bases) if "S" in parts else None,
    )


def render(descriptor: SecurityDescriptor) -> str:
    """Print SDDL in Windows' spelling, with SIDs where an older Windows would not know the alias."""
    owner = f"O:{_sid_text(descriptor.owner)}" if descriptor.owner else ""
    group = f"G:{_sid_text(descriptor.group)}" if descriptor.group else ""
    return owner + group + _acl_text("D", descriptor.dacl) + _acl_text("S", descriptor.sacl)


def render_ace(ace: Ace) -> str:
    """One entry with its parentheses."""
    if ace.type not in _TYPES:
        return f"({ace.raw})"
    flags = "".join(flag for flag in _FLAGS if flag in ace.flags)
    sid = _sid_text(ace.sid)
    fields = [ace.type, flags, _rights_text(ace.type, ace.mask), ace.object_guid, ace.inherited_guid, sid]
    return f"({';'.join([*fields, ace.raw] if ace.raw else fields)})"


def rights(text: str, ace_type: str = "A") -> int:
    """The mask that a rights field means: tokens run together, or one number (hex, octal, decimal)."""
    word = text.strip().upper()
    if word[:1].isdecimal():
        return _number(word)
    tokens = _LABEL | _SINGLE | _WHOLE if ace_type == "ML" else _SINGLE | _WHOLE
    mask = 0
    for token in _pairs(word):
        if token not in tokens:
            raise ValueError(f"rights {text!r}: {token!r} is no right of MS-DTYP 2.5.1.1")
        mask |= tokens[token]
    return mask


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    position = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    while position < end:
        letter = text[position].upper()
        if letter not in "OGDS" or text[position + 1 : position + 2] != ":" or letter in parts:
            found = text[position : position + 20]
            raise ValueError(f"not SDDL at character {position}: expected O:, G:, D: or S: once each, found {found!r}")
        stop = _part_end(text, position + 2, end)
        parts[letter] = text[position + 2 : stop].strip()
        position = stop
    if not parts:
        raise ValueError("not SDDL: the text is empty")
    return parts


def _part_end(text: str, position: int, end: int) -> int:
    """Where the next part begins; a colon inside an entry (a condition, a string) does not count."""
    while position < end:
        if text[position] == "(":
            position = _closing(text, position) + 1
        elif text[position] in "OGDSogds" and text[position + 1 : position + 2] == ":":
            return position
        else:
            position += 1
    return end


def _closing(text: str, opening: int) -> int:
    depth = 0
    quoted = False
    for position in range(opening, len(text)):
        letter = text[position]
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if not depth:
            return position
    raise ValueError(f"not SDDL: the parenthesis at character {opening} is never closed")


def _acl(text: str, bases: dict[str, str]) -> Acl | None:
    head, paren, _ = text.partition("(")
    flags = head.strip().upper()
    if flags.endswith("NO_ACCESS_CONTROL"):
        return None
    return Acl(frozenset(_acl_flags(flags)), tuple(_aces(paren and text[len(head) :], bases)))


def _acl_flags(text: str) -> list[str]:
    flags = re.findall("P|AI|AR", text)
    if len("".join(flags)) != len(text):
        raise ValueError(f"access list flags {text!r}: expected P, AI, AR or NO_ACCESS_CONTROL")
    return flags


def _aces(text: str, bases: dict[str, str]) -> Iterator[Ace]:
    position = 0
    while position < len(text):
        if text[position] == "(":
            closing = _closing(text, position)
            yield _ace(text[position + 1 : closing], bases)
            position = closing
        elif not text[position].isspace():
            raise ValueError(f"not SDDL: expected an entry in parentheses, found {text[position:][:20]!r}")
        position += 1


def _ace(body: str, bases: dict[str, str]) -> Ace:
    ace_type, *fields = (field.strip() for field in body.split(";", 6))
    if ace_type.upper() not in _TYPES:
        return Ace(ace_type.upper(), frozenset(), 0, "", raw=body)
    if len(fields) < 5:
        raise ValueError(f"entry ({body}): expected (type;flags;rights;object;inherited object;SID)")
    flags, mask, guid, inherited_guid, sid, *extra = fields
    return Ace(
        type=ace_type.upper(),
        flags=frozenset(_ace_flags(flags)),
        mask=rights(mask, ace_type.upper()),
        sid=_sid(sid, bases),
        object_guid=guid.lower(),
        inherited_guid=inherited_guid.lower(),
        raw="".join(extra),
    )


def _ace_flags(text: str) -> list[str]:
    flags = _pairs(text.upper())
    if unknown := [flag for flag in flags if flag not in _FLAGS]:
        raise ValueError(f"entry flags {text!r}: {unknown[0]!r} is none of {', '.join(_FLAGS)}")
    return flags


def _pairs(text: str) -> list[str]:
    return [text[index : index + 2] for index in range(0, len(text), 2)]


def _number(word: str) -> int:
    octal = re.fullmatch("0[0-7]+", word)
    try:
        mask = int(word, 8 if octal else 0)
    except ValueError:
        raise ValueError(f"rights {word!r}: not a hexadecimal, octal or decimal number") from None
    if mask > 0xFFFFFFFF:
        raise ValueError(f"rights {word!r}: more than 32 bits")
    return mask


def _rights_text(ace_type: str, mask: int) -> str:
    if ace_type == "ML" and mask & ~7 == 0:
        return "".join(token for token, bit in _LABEL.items() if mask & bit)
    if mask in _WHOLE_TOKEN:
        return _WHOLE_TOKEN[mask]
    if mask & ~sum(_SINGLE.values()) == 0:
        return "".join(token for token, bit in _SINGLE.items() if mask & bit)
    return f"{mask:#x}"


def _acl_text(letter: str, acl: Acl | None) -> str:
    if acl is None:
        return ""
    flags = "".join(flag for flag in ("P", "AR", "AI") if flag in acl.flags)
    return f"{letter}:{flags}" + "".join(map(render_ace, acl.aces))


# --- SIDs ---------------------------------------------------------------------------------------------------------


def sid(text: str, machine_sid: str | None = None, domain_sid: str | None = None) -> str:
    """A SID in its one spelling, from a SID or an SDDL alias known here. Raises ValueError on anything else."""
    found = _sid(text, _relative(machine_sid, MACHINE_ALIASES) | _relative(domain_sid, DOMAIN_ALIASES))
    if SID.fullmatch(found) or found in MACHINE_ALIASES or found in DOMAIN_ALIASES or found in FOREST_ALIASES:
        return found
    raise ValueError(f"{text!r} is no alias of MS-DTYP 2.5.1.1: give the SID (S-1-…)")


def _sid(text: str, bases: dict[str, str]) -> str:
    """An alias of a later Windows, or a placeholder in a template (`%s`), stays as it is."""
    word = text.strip()
    if SID.fullmatch(word):
        return _canonical(word.upper())
    if _ALIAS.fullmatch(word):
        return (ALIASES | bases).get(word.upper(), word if word.startswith("%") else word.upper())
    raise ValueError(f"{text!r} is neither a SID (S-1-…) nor an alias of MS-DTYP 2.5.1.1")


def _canonical(sid: str) -> str:
    """Plain decimal numbers; an authority of 2**32 and more in hexadecimal (MS-DTYP 2.4.2.1)."""
    authority, *rids = sid.split("-")[2:]
    number = int(authority, 16 if authority.startswith("0X") else 10)
    if number >= 1 << 48 or len(rids) > 15 or any(int(rid) >= 1 << 32 for rid in rids):
        raise ValueError(f"{sid} is no SID: an authority of 48 bits and at most 15 numbers of 32 bits (MS-DTYP 2.4.2)")
    head = f"0x{number:012x}" if number >= 1 << 32 else str(number)
    return "-".join(["S-1", head, *(str(int(rid)) for rid in rids)])


def _relative(base: str | None, rids: dict[str, int]) -> dict[str, str]:
    return {alias: f"{base}-{rid}" for alias, rid in rids.items()} if base else {}


def _sid_text(sid: str) -> str:
    return _PRINTED.get(sid, sid)


# --- bytes --------------------------------------------------------------------------------------------------------

_DESCRIPTOR = struct.Struct("<BBHIIII")
_ACL = struct.Struct("<BBHHH")
_ACE = struct.Struct("<BBH")
_SELF_RELATIVE, _DACL_PRESENT, _SACL_PRESENT = 0x8000, 0x0004, 0x0010
_DACL_CONTROL = {"P": 0x1000, "AI": 0x0400, "AR": 0x0100}
_SACL_CONTROL = {"P": 0x2000, "AI": 0x0800, "AR": 0x0200}


def from_bytes(blob: bytes) -> SecurityDescriptor:
    """Read a self-relative descriptor (a REG_BINARY of the registry). Raises ValueError where it is none."""
    try:
        return _descriptor(blob)
    except (struct.error, IndexError):
        raise ValueError(f"not a self-relative security descriptor: {len(blob)} bytes (MS-DTYP 2.4.6)") from None


def to_bytes(descriptor: SecurityDescriptor) -> bytes:
    """Print a self-relative descriptor. Raises ValueError for what only the host can put into bytes.

    That is an alias without its base SID and a condition that was read as text.
    """
    sacl, dacl = _acl_bytes(descriptor.sacl), _acl_bytes(descriptor.dacl)
    owner, group = _sid_bytes(descriptor.owner), _sid_bytes(descriptor.group)
    control = _SELF_RELATIVE | _control(descriptor.sacl, _SACL_PRESENT, _SACL_CONTROL)
    control |= _control(descriptor.dacl, _DACL_PRESENT, _DACL_CONTROL)
    offsets, body = [], b""
    for part in (sacl, dacl, owner, group):
        offsets.append(_DESCRIPTOR.size + len(body) if part else 0)
        body += part
    sacl_at, dacl_at, owner_at, group_at = offsets
    return _DESCRIPTOR.pack(1, 0, control, owner_at, group_at, sacl_at, dacl_at) + body


def _descriptor(blob: bytes) -> SecurityDescriptor:
    revision, _, control, owner, group, sacl, dacl = _DESCRIPTOR.unpack_from(blob)
    if revision != 1 or not control & _SELF_RELATIVE:
        raise IndexError
    return SecurityDescriptor(
        owner=_read_sid(blob, owner)[0] if owner else None,
        group=_read_sid(blob, group)[0] if group else None,
        dacl=_read_acl(blob, dacl, control, _DACL_CONTROL) if control & _DACL_PRESENT and dacl else None,
        sacl=_read_acl(blob, sacl, control, _SACL_CONTROL) if control & _SACL_PRESENT else None,
    )


def _read_acl(blob: bytes, offset: int, control: int, bits: dict[str, int]) -> Acl:
    aces = tuple(_read_aces(blob, offset)) if offset else ()
    return Acl(frozenset(flag for flag, bit in bits.items() if control & bit), aces)


def _read_aces(blob: bytes, offset: int) -> Iterator[Ace]:
    _, _, _, count, _ = _ACL.unpack_from(blob, offset)
    offset += _ACL.size
    for _ in range(count):
        number, flags, size = _ACE.unpack_from(blob, offset)
        yield _read_ace(number, flags, _take(blob, offset, size)[_ACE.size :])
        offset += size


def _read_ace(number: int, flag_bits: int, body: bytes) -> Ace:
    name = _TYPE_NAME.get(number)
    if name is None:
        return Ace(f"{number:#04x}", frozenset(), 0, "", raw=f"{number:#04x};{flag_bits:#04x};#{body.hex()}")
    (mask,) = struct.unpack_from("<I", body)
    guids, offset = _read_guids(body) if name in _OBJECT_TYPES else (("", ""), 4)
    sid, offset = _read_sid(body, offset)
    extra = f"#{body[offset:].hex()}" if name in _EXTRA_TYPES and offset < len(body) else ""
    return Ace(name, _flags_of(name, flag_bits), mask, sid, *guids, raw=extra)


def _flags_of(name: str, bits: int) -> frozenset[str]:
    """Bit 0x40 audits success in an audit entry and protects from a filter in an access filter entry."""
    other = "SA" if name == "FL" else "TP"
    return frozenset(flag for flag, bit in _FLAGS.items() if bits & bit and flag != other)


def _read_guids(body: bytes) -> tuple[tuple[str, str], int]:
    (present,) = struct.unpack_from("<I", body, 4)
    offset, guids = 8, ["", ""]
    for index in range(2):
        if present & 1 << index:
            guids[index] = str(UUID(bytes_le=_take(body, offset, 16)))
            offset += 16
    return (guids[0], guids[1]), offset


def _read_sid(blob: bytes, offset: int) -> tuple[str, int]:
    revision, count = _take(blob, offset, 2)
    authority = int.from_bytes(_take(blob, offset + 2, 6), "big")
    if revision != 1:
        raise IndexError
    rids = struct.unpack_from(f"<{count}I", blob, offset + 8)
    return _canonical("-".join(map(str, ("S", 1, authority, *rids)))), offset + 8 + 4 * count


def _take(blob: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(blob):
        raise IndexError
    return blob[offset : offset + size]


def _control(acl: Acl | None, present: int, bits: dict[str, int]) -> int:
    return present | sum(bits[flag] for flag in acl.flags) if acl else 0


def _acl_bytes(acl: Acl | None) -> bytes:
    if acl is None:
        return b""
    revision = 4 if any(ace.type in _OBJECT_TYPES for ace in acl.aces) else 2
    body = b"".join(map(_ace_bytes, acl.aces))
    return _ACL.pack(revision, 0, _ACL.size + len(body), len(acl.aces), 0) + body


def _ace_bytes(ace: Ace) -> bytes:
    if ace.type not in _TYPES:
        return _unknown_ace_bytes(ace)
    if ace.raw and not ace.raw.startswith("#"):
        raise ValueError(f"entry {render_ace(ace)}: only Windows puts a condition into bytes; write it as SDDL")
    body = struct.pack("<I", ace.mask) + _guid_bytes(ace) + _sid_bytes(ace.sid) + bytes.fromhex(ace.raw[1:])
    flags = sum({_FLAGS[flag] for flag in ace.flags})
    return _ACE.pack(_TYPES[ace.type], flags, _ACE.size + len(body)) + body


def _unknown_ace_bytes(ace: Ace) -> bytes:
    match = re.fullmatch("0x([0-9a-f]{2});0x([0-9a-f]{2});#([0-9a-f]*)", ace.raw)
    if not match:
        raise ValueError(f"entry ({ace.raw}): its type is not known here; write the descriptor as SDDL")
    body = bytes.fromhex(match[3])
    return _ACE.pack(int(match[1], 16), int(match[2], 16), _ACE.size + len(body)) + body


def _guid_bytes(ace: Ace) -> bytes:
    if ace.type not in _OBJECT_TYPES:
        return b""
    guids = (ace.object_guid, ace.inherited_guid)
    present = sum(1 << index for index, guid in enumerate(guids) if guid)
    return struct.pack("<I", present) + b"".join(UUID(guid).bytes_le for guid in guids if guid)


def _sid_bytes(sid: str | None) -> bytes:
    if sid is None:
        return b""
    if not SID.fullmatch(sid):
        raise ValueError(f"{sid} needs the SID of the machine or domain to be put into bytes: give it to parse()")
    authority, *rids = sid.split("-")[2:]
    number = int(authority, 16 if authority.startswith("0x") else 10)
    return struct.pack(f"<BB6s{len(rids)}I", 1, len(rids), number.to_bytes(6, "big"), *map(int, rids))


# --- masks and order ------------------------------------------------------------------------------------------------

SYNCHRONIZE = 0x100000

FILE_RIGHTS = {
    "FullControl": 0x1F01FF, "Modify": 0x301BF, "ReadAndExecute": 0x200A9, "Read": 0x20089, "Write": 0x116,
    "ReadData": 0x1, "ListDirectory": 0x1, "WriteData": 0x2, "CreateFiles": 0x2, "AppendData": 0x4,
    "CreateDirectories": 0x4, "ReadExtendedAttributes": 0x8, "WriteExtendedAttributes": 0x10, "ExecuteFile": 0x20,
    "Traverse": 0x20, "DeleteSubdirectoriesAndFiles": 0x40, "ReadAttributes": 0x80, "WriteAttributes": 0x100,
    "Delete": 0x10000, "ReadPermissions": 0x20000, "ChangePermissions": 0x40000, "TakeOwnership": 0x80000,
    "Synchronize": SYNCHRONIZE,
}  # fmt: skip
"""Names and masks of .NET's `FileSystemRights`. Stored allow entries have SYNCHRONIZE besides: compare without it."""

SERVICE_RIGHTS = {
    "query_config": 0x1, "change_config": 0x2, "query_status": 0x4, "enumerate_dependents": 0x8, "start": 0x10,
    "stop": 0x20, "pause_continue": 0x40, "interrogate": 0x80, "user_defined_control": 0x100, "delete": 0x10000,
    "read_control": 0x20000, "write_dac": 0x40000, "write_owner": 0x80000,
}  # fmt: skip
"""MS-SCMR 3.1.4: what a bit means on a service. change_config, write_dac and write_owner amount to becoming SYSTEM."""
SERVICE_ALL_ACCESS = 0xF01FF
SERVICE_DEFAULT = (
    "D:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)"
    "S:(AU;FA;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;WD)"
)
"""The descriptor of a service whose key has no `Security` value."""

FILE_GENERIC = {"GR": 0x120089, "GW": 0x120116, "GX": 0x1200A0, "GA": 0x1F01FF}
SERVICE_GENERIC = {"GR": 0x2008D, "GW": 0x20002, "GX": 0x20170, "GA": SERVICE_ALL_ACCESS}


def map_generic(mask: int, mapping: dict[str, int] = FILE_GENERIC) -> int:
    """The mask with its generic bits replaced by what they mean on a file, or on what `mapping` is for."""
    specific = mask & ~sum(_GENERIC.values())
    for token, bit in _GENERIC.items():
        specific |= mapping[token] if mask & bit else 0
    return specific


def canonical_order(aces: Iterable[Ace]) -> tuple[Ace, ...]:
    """MS-DTYP 2.4.5: explicit before inherited; of the explicit, deny before allow, the object before its properties.

    Inherited entries keep their order among themselves: it tells how far up each was given.
    """
    return tuple(sorted(aces, key=_rank))


def _rank(ace: Ace) -> tuple[bool, bool, bool]:
    if ace.inherited:
        return (True, False, False)
    return (False, not ace.denies, ace.type in _OBJECT_TYPES)
