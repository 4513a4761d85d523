"""What the access list of a folder or file gives, to whom, and how far down: evaluated and rewritten, pure.

MS-DTYP 2.5.3 (checking, inheriting), 2.4.4.1 (flags), 2.4.5 (order); formats.md 2. A list on a folder says something
about the folder and about four sorts of things below it; `Masks` has a mask for each of these parts. Masks are compared
after generic mapping and without Synchronize, which Windows adds to every allow entry by itself. Children that protect
themselves, and denies that stand on them, are not looked at: this is what the folder's own list says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from opdeploy.calls import Answer, Write, references, sddl_read
from opdeploy.formats import sddl
from opdeploy.formats.sddl import FILE_RIGHTS, SYNCHRONIZE, Ace
from opdeploy.model import Missing, Unknown
from opdeploy.resources.base import Answers, path_token, paths_above

AppliesTo = Literal["this_folder", "subfolders", "files"]
Propagation = Literal["all_levels", "one_level"]
RuleType = Literal["allow", "deny"]

ALL: tuple[AppliesTo, ...] = ("this_folder", "subfolders", "files")
PARTS = ("this_folder", "subfolders", "files", "deeper_subfolders", "deeper_files")
Masks = Mapping[str, int]  # by part; one that is not there gets nothing

WIDE = {"S-1-1-0", "S-1-5-11", "S-1-5-32-545"}  # Everyone, Authenticated Users, Users: a deny for them hits anybody
KEPT = ("S-1-5-18", "S-1-5-32-544")  # SYSTEM and Administrators: a folder that is ours always keeps what they are allowed
CREATORS = {"S-1-3-0", "S-1-3-1"}
FULL_CONTROL = FILE_RIGHTS["FullControl"] & ~SYNCHRONIZE


# ---------------------------------------------------------------- rights, as words

_BY_NAME = {name.lower(): mask & ~SYNCHRONIZE for name, mask in FILE_RIGHTS.items() if name != "Synchronize"}
_SAID = sorted(  # the widest word first, and of two names for one bit the first
    {mask & ~SYNCHRONIZE: name for name, mask in reversed(FILE_RIGHTS.items()) if mask != SYNCHRONIZE}.items(),
    key=lambda item: (-item[0].bit_count(), item[0]),
)


def words(mask: int) -> str:
    """A mask in .NET's words for file rights; bits that have none as a number."""
    said = []
    for bits, name in _SAID:
        if mask & bits == bits:
            said.append(name)
            mask &= ~bits
    return ", ".join([*said, *([f"{mask:#x}"] if mask else [])]) or "nothing"


@dataclass(frozen=True)
class Rights:
    """A mask without Synchronize, the same on all that a rule applies to; `elsewhere` names parts of which it is not true.

    Only what a host has can differ from part to part. In an inventory: a word, or a list of words of `FileSystemRights`.
    """

    mask: int
    elsewhere: tuple[tuple[str, int], ...] = ()

    @classmethod
    def parse(cls, value: Any) -> Rights:
        if isinstance(value, cls):
            return value
        names = re.split(r"\s*,\s*", value.strip()) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names:
            raise ValueError("expected rights: Read, ReadAndExecute, Write, Modify, FullControl, or a list of .NET's flags")
        mask = 0
        for name in names:
            if str(name).lower() not in _BY_NAME:
                raise ValueError(f"{name!r} is no right of files: write one of {', '.join(FILE_RIGHTS)}")
            mask |= _BY_NAME[str(name).lower()]
        return cls(mask)

    def __str__(self) -> str:
        others: dict[int, list[str]] = {}
        for part, mask in self.elsewhere:
            others.setdefault(mask, []).append(part)
        said = [f"{words(mask)} on {', '.join(parts)}" for mask, parts in others.items()]
        return "; but ".join([words(self.mask), *said])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


# ---------------------------------------------------------------- how far an entry reaches


def parts_of(applies_to: Collection[str], propagation: Propagation) -> tuple[str, ...]:
    """The parts that a rule speaks of, in the order of `PARTS`."""
    below = {f"deeper_{word}" for word in applies_to if word != "this_folder" and propagation == "all_levels"}
    return tuple(part for part in PARTS if part in below or part in applies_to)


def flags_of(parts: Collection[str]) -> frozenset[str]:
    """Windows' inheritance and propagation flags: ContainerInherit, ObjectInherit, InheritOnly, NoPropagateInherit."""
    container, object_ = "subfolders" in parts, "files" in parts
    deep = "deeper_subfolders" in parts or "deeper_files" in parts
    said = {"CI": container, "OI": object_, "IO": "this_folder" not in parts, "NP": (container or object_) and not deep}
    return frozenset(flag for flag, holds in said.items() if holds)


def reach(ace: Ace, folder: bool) -> Iterator[str]:
    """The parts on which an entry is effective. [MS-DTYP 2.5.3.4.2]"""
    if "IO" not in ace.flags:
        yield "this_folder"
    for flag, part in (("CI", "subfolders"), ("OI", "files")) if folder else ():
        if flag in ace.flags:
            yield part
            yield from () if "NP" in ace.flags else (f"deeper_{part}",)


def mask_of(ace: Ace) -> int:
    return sddl.map_generic(ace.mask) & ~SYNCHRONIZE


# ---------------------------------------------------------------- what a list gives


def entries(aces: Iterable[Ace], sid: str, type: RuleType) -> list[Ace]:
    """One principal's plain entries of one type; a conditional one gives nothing for sure."""
    letter = {"allow": "A", "deny": "D"}[type]
    return [ace for ace in aces if ace.type == letter and ace.sid == sid]


def united(aces: Iterable[Ace], folder: bool) -> dict[str, int]:
    """All that these entries name, part by part."""
    masks: dict[str, int] = {}
    for ace in aces:
        for part in reach(ace, folder):
            masks[part] = masks.get(part, 0) | mask_of(ace)
    return {part: masks[part] for part in PARTS if masks.get(part)}


def common(one: Masks, other: Masks) -> dict[str, int]:
    """What both have."""
    return {part: mask & other.get(part, 0) for part, mask in one.items() if mask & other.get(part, 0)}


def denials(aces: Iterable[Ace], sid: str, also: Collection[str], folder: bool) -> list[tuple[str, str, int]]:
    """(SID, part, mask) of every deny that holds for `sid` or one of `also`: the first entry that speaks of a bit decides.

    So a deny from above does not take what an entry on the folder itself allows. [MS-DTYP 2.5.3.2]
    """
    allowed: dict[str, int] = {}
    found = []
    for ace in aces:
        for part in reach(ace, folder):
            if ace.denies and ace.sid in {sid, *also} and (mask := mask_of(ace) & ~allowed.get(part, 0)):
                found.append((ace.sid, part, mask))
            elif ace.type == "A" and ace.sid == sid:
                allowed[part] = allowed.get(part, 0) | mask_of(ace)
    return found


def denied(aces: Iterable[Ace], sid: str, folder: bool) -> dict[str, int]:
    """What is denied to this very principal, part by part."""
    masks: dict[str, int] = {}
    for _, part, mask in denials(aces, sid, (), folder):
        masks[part] = masks.get(part, 0) | mask
    return masks


# ---------------------------------------------------------------- a list rewritten


def explicit(aces: Iterable[Ace]) -> tuple[Ace, ...]:
    """What stands on the object itself. What comes from above is never written back: Windows makes it anew."""
    return tuple(ace for ace in aces if not ace.inherited)


def with_entry(aces: Iterable[Ace], new: Ace) -> tuple[Ace, ...]:
    """The list with one entry more, in canonical order; joined to one of the same reach, as Windows does."""
    listed = list(aces)
    for index, ace in enumerate(listed):
        if (ace.type, ace.flags, ace.sid) == (new.type, new.flags, new.sid):
            listed[index] = replace(ace, mask=ace.mask | new.mask)
            return sddl.canonical_order(listed)
    return sddl.canonical_order([*listed, new])


def new_entry(type: RuleType, sid: str, mask: int, flags: frozenset[str]) -> Ace:
    """As .NET's `FileSystemAccessRule` makes it: Synchronize with every allow, and with a deny of all only."""
    whole = mask | SYNCHRONIZE if type == "allow" or mask == FULL_CONTROL else mask
    return Ace("A" if type == "allow" else "D", flags, whole, sid)


def written(found: sddl.SecurityDescriptor) -> str:
    """The list as it is written: its flags, and explicit entries only."""
    dacl = found.dacl and replace(found.dacl, aces=explicit(found.dacl.aces))
    return sddl.render(sddl.SecurityDescriptor(dacl=dacl))


# ---------------------------------------------------------------- what writes leave, as far as it can be foretold


def lists(writes: Iterable[Write]) -> list[Write]:
    """Those that replace an access list."""
    return [write for write in writes if write.verb == "sddl.write"]


def hangs(write: Write, earlier: Iterable[Write]) -> bool:
    """Whether an earlier list comes down on this one, or is its own and names somebody who has no SID yet."""
    own, above = path_token(write.args["path"]), {path_token(path) for path in paths_above(write.args["path"])}
    tokens = ((path_token(one.args["path"]), bool(references(one))) for one in earlier)
    return any(token in above or (token == own and open_reference) for token, open_reference in tokens)


def foretold(written: Iterable[Write], observation: Mapping[str, Answer]) -> dict[str, Answer]:
    """The lists that were read, as they will be read once these are written; not where somebody has no SID yet."""
    found: dict[str, Answer] = {}
    for write in written:
        key = sddl_read(write.args["path"]).key
        before = found.get(key, observation.get(key))
        if isinstance(before, str) and not references(write):
            found[key] = as_written(before, write.args["sddl"])
    return found


def as_written(before: str, text: str) -> str:
    """A descriptor as it will be read once `text` is written: what comes from above stays, unless the list is closed."""
    then, new = sddl.parse(before), sddl.parse(text)
    if then.dacl is None or new.dacl is None:
        return text
    inherited = () if "P" in new.dacl.flags else tuple(ace for ace in then.dacl.aces if ace.inherited)
    dacl = replace(new.dacl, aces=(*new.dacl.aces, *inherited))
    return sddl.render(replace(then, owner=new.owner or then.owner, dacl=dacl))


# ---------------------------------------------------------------- a read descriptor


def descriptor(path: str, answers: Answers) -> sddl.SecurityDescriptor:
    """What `answers.sddl` says. Raises `Missing` where nothing is, `Unknown` for what can't be read or extended."""
    if answers.sddl is None:
        raise Missing(path_token(path), f"{path} is not there, and nothing in this plan makes it")
    try:
        found = sddl.parse(answers.sddl, *answers.base_sids)
    except ValueError as error:
        raise Unknown(f"its security descriptor can't be read: {error}") from error
    if found.dacl is None:
        raise Unknown("it has no access list at all, so everybody may do everything: give it one by hand first")
    return found
