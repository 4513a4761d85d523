"""What a file or folder inherits, and what Windows makes of a list that is written [MS-DTYP 2.5.3.4].

Entries with ID are never stored: they follow from the parents, so a write on a folder reaches everything below it at once,
as SetNamedSecurityInfo's walk does in the end.
"""

from __future__ import annotations

from dataclasses import replace

from opdeploy.lab.windows.sddl import CI, GENERIC, ID, IO, NP, OI, Ace

CREATORS = {"S-1-3-0": "owner", "S-1-3-1": "group"}
GENERIC_MASKS = {0x80000000: 0x120089, 0x40000000: 0x120116, 0x20000000: 0x1200A0, 0x10000000: 0x1F01FF}


def mapped(mask: int) -> int:
    """Generic rights turned into a file's own."""
    for generic, specific in GENERIC_MASKS.items():
        if mask & generic:
            mask = mask & ~generic | specific
    return mask


def inherited(parent: tuple[Ace, ...], folder: bool, owner: str, group: str) -> tuple[Ace, ...]:
    """The ID entries that a child gets from its parent's whole list."""
    found: list[Ace] = []
    for ace in parent:
        for new in _passed_on(ace, folder, {"owner": owner, "group": group}):
            if new not in found:
                found.append(new)
    return tuple(found)


def _passed_on(ace: Ace, folder: bool, creators: dict[str, str]) -> list[Ace]:
    if not ace.flags & (OI | CI):
        return []
    if not folder:
        return [_effective(ace, creators)] if ace.flags & OI else []
    further = 0 if ace.flags & NP else ace.flags & (OI | CI)
    if not ace.flags & CI:
        return [replace(ace, flags=ID | OI | IO)] if further else []
    changes = ace.sid in CREATORS or bool(ace.mask & GENERIC)
    if not changes:
        return [replace(ace, flags=ID | further)]
    kept = [replace(ace, flags=ID | further | IO)] if further else []
    return [_effective(ace, creators), *kept]


def _effective(ace: Ace, creators: dict[str, str]) -> Ace:
    sid = creators[CREATORS[ace.sid]] if ace.sid in CREATORS else ace.sid
    return replace(ace, flags=ID, mask=mapped(ace.mask), sid=sid)


def without_covered(aces: tuple[Ace, ...]) -> tuple[Ace, ...]:
    """An effective entry that another one gives already, to the same account on the object itself, is not kept."""
    return tuple(ace for ace in aces if not any(_covers(other, ace) for other in aces))


def _covers(other: Ace, ace: Ace) -> bool:
    if other == ace or other.type != ace.type or other.sid != ace.sid or ace.flags != ID:
        return False
    return not other.flags & IO and other.mask & ace.mask == ace.mask


def as_written(aces: tuple[Ace, ...], folder: bool) -> tuple[Ace, ...]:
    """The explicit entries as stored: ID ones left out, generic rights split, equal ones merged, deny before allow."""
    split = [part for ace in aces if not ace.flags & ID for part in _split(ace, folder)]
    merged: list[Ace] = []
    for ace in split:
        same = next((at for at, old in enumerate(merged) if _mergeable(old, ace)), None)
        if same is None:
            merged.append(ace)
        else:
            merged[same] = replace(ace, mask=ace.mask | merged[same].mask)
    return tuple(sorted(merged, key=lambda ace: ace.type != 1))


def _mergeable(old: Ace, ace: Ace) -> bool:
    return (old.type, old.flags, old.sid) == (ace.type, ace.flags, ace.sid)


def _split(ace: Ace, folder: bool) -> list[Ace]:
    if not folder:
        return [replace(ace, flags=0, mask=mapped(ace.mask))]
    if not ace.mask & GENERIC or ace.flags & IO:
        return [ace]
    effective = replace(ace, flags=0, mask=mapped(ace.mask))
    if not ace.flags & (OI | CI):
        return [effective]
    return [effective, replace(ace, flags=ace.flags | IO)]


def granted(aces: tuple[Ace, ...], token: frozenset[str]) -> int:
    """The mask that a token gets from a list, first entry first [MS-DTYP 2.5.3.2]."""
    allowed = denied = 0
    for ace in aces:
        if ace.flags & IO or ace.sid not in token:
            continue
        if ace.type == 0:
            allowed |= mapped(ace.mask) & ~denied
        elif ace.type == 1:
            denied |= mapped(ace.mask) & ~allowed
    return allowed
