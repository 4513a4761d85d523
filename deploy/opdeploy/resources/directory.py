"""A folder: that it is there, whose it is, and whether it inherits access from above.

Made with its parents, removed only when nothing is in it. A folder that stops inheriting keeps what it inherited as
entries of its own (as `icacls /inheritance:d` does), so nobody is locked out; with `keep_inherited: false` only its own
entries stay, beside full control for SYSTEM and Administrators. One that starts again keeps its own and gets what comes
from above. A new folder's descriptor is only known once it stands, so owner and inheritance follow in a second
pass. The entries themselves are `access_rule`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import model_validator

from opdeploy.calls import Write, cmdlet_write, file_stat, sddl_read, sddl_write
from opdeploy.formats.sddl import Ace, SecurityDescriptor
from opdeploy.model import Change, Machine, Missing, Principal
from opdeploy.resources import access
from opdeploy.resources.base import KEY, Answers, Option, Reads, Resource, path_token, paths_above
from opdeploy.resources.values import LocalPath


class Directory(Resource):
    KIND = "directory"
    EXAMPLE = r"""
        - { path: 'D:\OP\gdbmed', owner: Administrators, inherits: false }
    """
    ABSENT_WHEN = ("DriveNotFound",)

    path: Annotated[LocalPath, KEY]
    """Where it stands; folders above it are made with it."""
    owner: Principal | None = None
    """Whose it is."""
    inherits: bool | None = None
    """Whether it takes access rules from the folder above."""
    keep_inherited: Option = True
    """With `inherits: false`: whether what it inherited so far stays, as rules of its own."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.absent and not paths_above(self.path):
            raise ValueError("a drive can't be removed")
        if not self.keep_inherited and self.inherits is not False:
            raise ValueError("keep_inherited says what stays when inherits is no; it goes with nothing else")
        return self

    def provides(self) -> frozenset[str]:
        return frozenset({path_token(self.path)})

    def needs(self) -> frozenset[str]:
        return super().needs() | {path_token(path) for path in paths_above(self.path)}

    def undone(self, found: Self | None) -> Self | str:
        return self.as_it_was(found) if found else "a folder holds data: it is never deleted"

    # ------------------------------------------------------------ reading

    def reads(self) -> Reads:
        secured = self.owner is not None or self.inherits is not None
        return {"stat": file_stat(self.path), **({"sddl": sddl_read(self.path)} if secured else {})}

    def actual(self, answers: Answers) -> Self | None:
        if answers.stat is None:
            if answers.failure("stat"):
                raise Missing(path_token(self.path[:3]), f"there is no drive {self.path[:2]}")
            return None
        if not answers.stat["directory"]:
            raise Missing(f"place:{self.path.lower()}", "a file stands in its place: move it away first")
        if not answers.has("sddl"):
            return type(self).observed(path=self.path)
        found = access.descriptor(self.path, answers)
        owner = Principal.of_sid(found.owner) if found.owner else None
        return type(self).observed(path=self.path, owner=owner, inherits=not _protected(found))

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.action == "remove" and not answers.stat["empty"]:
            return "it is not empty: only an empty folder is removed, so look at what is in it first"
        return ""

    def note(self, change: Change[Any], answers: Answers) -> str:
        closes = change.actual is not None and change.touches("inherits") and not self.keep_inherited
        return "of what it inherits, only SYSTEM and Administrators keep their access" if closes else ""

    # ------------------------------------------------------------ writing

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action == "remove":
            yield cmdlet_write("Remove-Item", LiteralPath=self.path)
        elif change.action == "create":
            yield cmdlet_write("New-Item", ItemType="Directory", Path=self.path)
        else:
            after = self._secured(access.descriptor(self.path, answers))
            owned = f"O:{self.owner.trustee}" if change.touches("owner") and self.owner else ""
            yield sddl_write(self.path, owned + access.written(after), expect=answers.sddl, owner=bool(owned))

    def follows(self, change: Change[Any]) -> bool:
        return change.action == "create" and (self.owner is not None or self.inherits is not None)

    def _secured(self, found: SecurityDescriptor) -> SecurityDescriptor:
        """The same list, open or closed to what comes from above."""
        if found.dacl is None or self.inherits is None or self.inherits is not _protected(found):
            return found
        if self.inherits:
            return replace(found, dacl=replace(found.dacl, flags=found.dacl.flags - {"P"}))
        own = tuple(dict.fromkeys(map(_as_own, found.dacl.aces))) if self.keep_inherited else _only_own(found.dacl.aces)
        return replace(found, dacl=replace(found.dacl, flags=found.dacl.flags | {"P"}, aces=own))


def _protected(found: SecurityDescriptor) -> bool:
    return found.dacl is not None and "P" in found.dacl.flags


def _only_own(aces: Iterable[Ace]) -> tuple[Ace, ...]:
    own = access.explicit(aces)
    for sid in access.KEPT:
        own = access.with_entry(own, access.new_entry("allow", sid, access.FULL_CONTROL, access.flags_of(access.PARTS)))
    return own


def _as_own(ace: Ace) -> Ace:
    return replace(ace, flags=ace.flags - {"ID"})
