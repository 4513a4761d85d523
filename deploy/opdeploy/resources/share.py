"""A shared folder: its path, its remark, how clients cache it, whom it shows what, and who may do what through it.

Read from the server service's registry keys (formats.md 8), where flags are those of MS-SRVS 2.2.4.29 and the access list is
a self-relative descriptor. Written with the SmbShare cmdlets, the list as SDDL: `-AccountName` takes names only, which
Windows translates, and SDDL takes SIDs. Each principal has one right through a share, so a right that is named replaces what
its principal had; others keep theirs, unless the list is `exact`. The cmdlets compare nothing before they replace a list: it
is made from the newest answers. The folder's own list counts besides: `access_rule`. Not verified on a Windows: that branch
caching is the flag 0x2000 in the registry, and what counts for a share without a stored list (which is *unknown* here).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from opdeploy.calls import Write, cmdlet_write, file_stat, registry_read
from opdeploy.formats import sddl
from opdeploy.formats.sddl import Ace, Acl, SecurityDescriptor
from opdeploy.model import Change, Machine, Missing, NotOurs, Principal, Unknown, Unproven
from opdeploy.resources.access import WIDE
from opdeploy.resources.base import IGNORE_CASE, KEY, Answers, Comparator, Option, Reads, Resource, path_token
from opdeploy.resources.values import LocalPath, Text, observed

Caching = Literal["manual", "documents", "programs", "none", "branch_cache"]

KEY_OF_SHARES = r"SYSTEM\CurrentControlSet\Services\LanmanServer\Shares"
CACHING: dict[int, Caching] = {0x00: "manual", 0x10: "documents", 0x20: "programs", 0x30: "none"}
CACHING_MODES = {
    "manual": "Manual", "documents": "Documents", "programs": "Programs", "none": "None", "branch_cache": "BranchCache",
}  # fmt: skip
CACHING_BITS, BRANCH_CACHE, ACCESS_BASED = 0x30, 0x2000, 0x800
SETTINGS = ("remark", "caching", "access_based_enumeration", "permissions")
FOLDER = "0"  # a share's type: neither a printer nor a pipe
ALLOWED = {0x1F01FF: "full", 0x1301BF: "change", 0x1200A9: "read"}
MASKS = {word: mask for mask, word in ALLOWED.items()}
DENY = "deny"
NEW = SecurityDescriptor(owner="S-1-5-18", group="S-1-5-18", dacl=Acl())
WINDOWS_OWN = re.compile(r"[a-z]\$|admin\$|ipc\$|print\$|fax\$|sysvol|netlogon", re.IGNORECASE)
NO_LIST = "permissions: the registry holds no list for it, so a default counts that Windows does not show"


def _name(text: str, info: ValidationInfo) -> str:
    if not observed(info) and WINDOWS_OWN.fullmatch(text):
        raise ValueError(f"{text} is Windows' own share: it is not managed here")
    if len(text) > 80 or re.search(r'["/\\\[\]:|<>+=;,?*]', text):
        raise ValueError(f"{text!r} is no share's name: up to 80 characters, none of \" / \\ [ ] : | < > + = ; , ? *")
    return text


def _remark(text: str) -> str:
    if len(text) > 256 or any(ord(char) < 32 for char in text):
        raise ValueError("expected a remark of up to 256 characters on one line")
    return text


def _rights(text: str, info: ValidationInfo) -> str:
    if not observed(info) and text not in (*MASKS, DENY):
        raise ValueError(f"{text!r} is no right of a share: write full, change, read or deny")
    return text


class Permission(BaseModel):
    """What one principal may do through the share; on a host it may be a mask that has no word."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: Principal
    """Who."""
    rights: Annotated[str, AfterValidator(_rights)]
    """May do what: full, change or read."""

    def __str__(self) -> str:
        return f"{self.principal}: {self.rights}"

    @property
    def ace(self) -> Ace:
        """Only ever of what an inventory asks for."""
        mask = MASKS["full"] if self.rights == DENY else MASKS[self.rights]
        return Ace("D" if self.rights == DENY else "A", frozenset(), mask, self.principal.trustee)


Permissions = tuple[Permission, ...]


def _in_force(desired: Permissions, actual: Permissions | None, exact: bool) -> Permissions:
    named = {permission.principal for permission in desired}
    kept = () if exact else tuple(permission for permission in actual or () if permission.principal not in named)
    return (*kept, *desired)


# Two roles are not united here: with one right for each principal, the later one would silently overrule the other.
HELD = Comparator(same=lambda one, other: set(one) == set(other), after=_in_force)


class Share(Resource):
    KIND = "share"
    EXAMPLE = r"""
        - name: gbd_common
          path: 'D:\OP\gbd_common'
          permissions:
            - { principal: Users, rights: change }
            - { principal: Administrators, rights: full }
          exact: true
    """
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("DriveNotFound",)
    READ_IF_MANAGED: ClassVar[tuple[str, ...]] = ("permissions",)
    REPLACE_ON: ClassVar[tuple[str, ...]] = ("path",)

    name: Annotated[Text, AfterValidator(_name), KEY]
    """As others reach it: `\\\\SERVER\\NAME`."""
    path: Annotated[LocalPath | None, IGNORE_CASE] = None
    """The folder; another one means a new share."""
    remark: Annotated[str, AfterValidator(_remark)] | None = None
    """What others see beside its name."""
    caching: Caching | None = None
    """What clients may keep offline."""
    access_based_enumeration: bool | None = None
    """Whether people see only what they may open."""
    permissions: Annotated[Permissions | Unproven | None, HELD, Field(union_mode="left_to_right")] = None
    """Who may do what through it; the folder's own access rules count besides."""
    exact: Option = False
    """Nobody else has a permission on it."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if observed(info) or not isinstance(self.permissions, tuple):
            if self.exact:
                raise ValueError("exact says that permissions name everybody: name them, or write permissions: []")
            return self
        named = [permission.principal.identity for permission in self.permissions]
        if twice := next((p for p in self.permissions if named.count(p.principal.identity) > 1), None):
            raise ValueError(f"{twice.principal} is named twice: a principal has one right through a share")
        return self

    def undone(self, found: Self | None) -> Self | str:
        return self.as_it_was(found, **({"exact": True} if self.permissions else {})) if found else self.gone()

    def provides(self) -> frozenset[str]:
        return frozenset({f"share:{self.name.lower()}"})

    def needs(self) -> frozenset[str]:
        return super().needs() | ({path_token(self.path)} if self.path else set())

    # ------------------------------------------------------------ reading

    def reads(self) -> Reads:
        folder = {"folder": file_stat(self.path)} if self.path else {}
        return {"shares": registry_read(KEY_OF_SHARES, values=[self.name], depth=1), **folder}

    def actual(self, answers: Answers) -> Self | None:
        if self.path and answers.folder is None:
            raise Missing(path_token(self.path), f"its folder {self.path} is not there, and nothing in this plan makes it")
        if self.path and not answers.folder["directory"]:
            raise Missing(f"place:{self.path.lower()}", f"{self.path} is a file, not a folder")
        stored = Stored(self.name, answers.shares)
        if not stored.values:
            return None
        try:
            return self._seen(stored)
        except ValidationError as error:
            raise Unknown(f"by the registry it is of {stored.values.get('path')!r}, which is no local folder") from error

    def _seen(self, stored: Stored) -> Self:
        flags = stored.flags
        return self.observed(
            name=self.name,
            path=stored.values.get("path"),
            remark=stored.values.get("remark", ""),
            caching="branch_cache" if flags & BRANCH_CACHE else CACHING[flags & CACHING_BITS],
            access_based_enumeration=bool(flags & ACCESS_BASED),
            permissions=self._held(stored) if self.permissions is not None else None,
        )

    def _held(self, stored: Stored) -> Permissions | Unproven:
        found = stored.descriptor
        return Unproven(NO_LIST) if found is None else _permissions(found)

    # ------------------------------------------------------------ judging

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.action == "create" and not self.path:
            return "it is not there, and without a path it can't be made"
        if change.verdict == "in_sync" and (masked := self._masked(answers)):
            return NotOurs(f"masked by deny: its list denies {', '.join(masked)} what is allowed here")
        return ""

    def _masked(self, answers: Answers) -> list[str]:
        """Whom a deny for everybody takes what is allowed here."""
        found = None if self.absent else Stored(self.name, answers.shares).descriptor
        wide = any(ace.denies and ace.sid in WIDE for ace in _aces(found)) if found else False
        wanted = self.permissions if isinstance(self.permissions, tuple) else ()
        return [str(one.principal) for one in wanted if wide and one.rights != DENY]

    def note(self, change: Change[Any], answers: Answers) -> str:
        if change.action == "create" and self.permissions is None:
            return "without permissions Windows lets Everyone read through it"
        return "open files in it are closed: it is removed and made anew" if change.action == "replace" else ""

    # ------------------------------------------------------------ writing

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action in ("remove", "replace"):
            yield cmdlet_write("Remove-SmbShare", Name=self.name, Force=True)
        if change.action in ("create", "replace"):
            wanted = self._with_the_rest_of(change.actual, answers) if change.actual else self
            yield cmdlet_write("New-SmbShare", Name=self.name, Path=self.path, **wanted.settings(answers))
        if change.action == "update":
            unchanged = {name: None for name in SETTINGS if not change.touches(name)}
            settings = self.model_copy(update=unchanged).settings(answers)
            yield cmdlet_write("Set-SmbShare", Name=self.name, **settings, Force=True)

    def _with_the_rest_of(self, actual: Self, answers: Answers) -> Self:
        """What a share made anew starts with: what is wanted, and for the rest what the old one had, its list too."""
        listed = {"permissions": ()} if Stored(self.name, answers.shares).descriptor else {}
        rest = {**{name: getattr(actual, name) for name in SETTINGS}, **listed}
        return self.model_copy(update={name: value for name, value in rest.items() if getattr(self, name) is None})

    def settings(self, answers: Answers) -> dict[str, Any]:
        """As parameters of the cmdlets; what is None is left out."""
        by_access = {None: None, True: "AccessBased", False: "Unrestricted"}[self.access_based_enumeration]
        before = Stored(self.name, answers.shares).descriptor or NEW
        given = {
            "Description": self.remark,
            "CachingMode": CACHING_MODES[self.caching] if self.caching else None,
            "FolderEnumerationMode": by_access,
            "SecurityDescriptor": None if self.permissions is None else sddl.render(self.listed(before)),
        }
        return {name: value for name, value in given.items() if value is not None}

    def listed(self, before: SecurityDescriptor) -> SecurityDescriptor:
        """The descriptor with what is wanted in it. Entries of principals that are not named stay, unless it is exact."""
        wanted = self.permissions if isinstance(self.permissions, tuple) else ()
        named = {permission.principal.trustee for permission in wanted}
        kept = () if self.exact else tuple(ace for ace in _aces(before) if ace.sid not in named)
        aces = sddl.canonical_order((*kept, *(permission.ace for permission in wanted)))
        return replace(before, dacl=replace(before.dacl or Acl(), aces=aces), sacl=None)


class Stored:
    """What the server service keeps of a share. [formats.md 8]"""

    def __init__(self, name: str, key: dict[str, Any] | None) -> None:
        listed = _lower(key)
        lines = listed.get(name.lower(), ["", ()])[1]
        self.values = {word.lower(): value for word, _, value in (line.partition("=") for line in lines)}
        security = {sub.lower(): below for sub, below in (key or {}).get("subkeys", {}).items()}.get("security")
        self._list = _lower(security).get(name.lower())

    @property
    def flags(self) -> int:
        """Raises `Unknown` where this is no shared folder, or says nothing that can be read."""
        if self.values.get("type", FOLDER) != FOLDER:
            raise Unknown("it is no shared folder but a printer or the like: give the share another name")
        flags = self.values.get("cscflags", "0")
        if not flags.isdecimal():
            raise Unknown(f"its flags in the registry are {flags!r}, which is no number")
        return int(flags)

    @property
    def descriptor(self) -> SecurityDescriptor | None:
        """None where the registry holds none. Raises `Unknown` for one that can't be read or changed."""
        if self._list is None:
            return None
        try:
            found = sddl.from_bytes(base64.b64decode(self._list[1]))
        except ValueError as error:
            raise Unknown(f"its security descriptor can't be read: {error}") from error
        if found.dacl is None:
            raise Unknown("it has no access list at all, so everybody may do everything: give it one by hand first")
        if odd := next((ace for ace in _aces(found) if ace.type not in ("A", "D")), None):
            raise Unknown(f"its list has an entry {sddl.render_ace(odd)}, which can't be judged: look at it by hand")
        return found


def _lower(key: dict[str, Any] | None) -> dict[str, Any]:
    return {name.lower(): value for name, value in (key or {}).get("values", {}).items()}


def _aces(found: SecurityDescriptor) -> tuple[Ace, ...]:
    return found.dacl.aces if found.dacl else ()


def _permissions(found: SecurityDescriptor) -> Permissions:
    """One permission a principal and type: several entries are one mask."""
    masks: dict[tuple[str, bool], int] = {}
    for ace in _aces(found):
        masks[ace.sid, ace.denies] = masks.get((ace.sid, ace.denies), 0) | sddl.map_generic(ace.mask)
    said = {who: _word(mask, who[1]) for who, mask in masks.items()}
    return tuple(Permission.model_construct(principal=Principal.of_sid(sid), rights=word) for (sid, _), word in said.items())


def _word(mask: int, denies: bool) -> str:
    if denies:
        return DENY if mask == MASKS["full"] else f"{DENY} {mask:#x}"
    return ALLOWED.get(mask, f"{mask:#x}")
