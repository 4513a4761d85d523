"""Folders, who may do what in them, and how they are shared. In one that is `exact`, each rule is its principal's only one.

What the support's account may do in them is `support_account`'s to say. Nobody is let in whom Windows does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import field_validator, model_validator

from opdeploy.inventory import Host
from opdeploy.model import Principal
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.directory import Directory
from opdeploy.resources.share import DENY, Share
from opdeploy.resources.values import LocalPath
from opdeploy.roles import Required, RoleSettings

NEEDS = ("support_account",)  # rules may name its account
ALWAYS = (Principal.of_sid("S-1-5-18"), Principal.of_sid("S-1-5-32-544"))  # SYSTEM and Administrators
STRANGERS = ("S-1-1-0", "S-1-5-7", "S-1-5-32-546")  # Everyone, ANONYMOUS LOGON, Guests


class Folder(RoleSettings):
    path: LocalPath = Required(r"where the folder is on the host, such as D:\OP\gbd_common")
    """Where it is on the host."""
    owner: Principal | None = None
    """Whose it is."""
    inherits: bool | None = None
    """Whether it takes access rules from the folder above."""
    exact: bool = False
    """The folder's own rules and its share's permissions are these; others are reported and removed."""
    rules: tuple[AccessRule, ...] = ()
    """Who may do what in it."""
    share: Share | None = None
    """How it is shared: name, permissions, and what else a share has."""

    @model_validator(mode="before")
    @classmethod
    def _all_have_its_path(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        path, rules, share = given.get("path"), given.get("rules"), given.get("share")
        ours = {"rules": [_with_path("rule", rule, path) for rule in rules]} if isinstance(rules, list) else {}
        return {**given, **ours, **({"share": _with_path("share", share, path)} if share else {})}

    @model_validator(mode="after")
    def _no_strangers(self) -> Self:
        rules = [rule.principal for rule in self.rules if rule.type == "allow" and not rule.absent]
        through = [one.principal for one in (self.share and self.share.permissions) or () if one.rights != DENY]
        if let_in := [principal for principal in (*rules, *through) if principal.sid in STRANGERS]:
            raise ValueError(f"refused: {let_in[0].name} lets in whom nobody knows; name a group of the practice, or Users")
        return self

    @model_validator(mode="after")
    def _shared_with_somebody(self) -> Self:
        if self.share and self.share.permissions is None and not self.share.absent:
            raise ValueError("a share needs permissions: without them Windows lets everybody read")
        return self

    def shared(self) -> Iterator[Share]:
        if self.share:
            yield self.share.model_copy(update={"exact": self.share.exact or (self.exact and not self.share.absent)})


def _with_path(what: str, given: Any, path: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    if "path" in given:
        raise ValueError(f"a {what}'s path is its folder's; take path out of the {what}")
    return {**given, "path": path}


class Settings(RoleSettings):
    folders: dict[str, Folder] = Required("a name for each folder, and below it path and rules")
    """A name for each folder, which stays in the inventory."""

    @field_validator("folders")
    @classmethod
    def _each_once(cls, folders: dict[str, Folder]) -> dict[str, Folder]:
        first: dict[str, str] = {}
        for name, folder in folders.items():
            other = first.setdefault(folder.path.lower(), name)
            if other != name:
                raise ValueError(f"{other} and {name} are the same folder: {folder.path}")
        return folders


def resources(settings: Settings, host: Host) -> Iterator[Resource | Scope]:
    for folder in settings.folders.values():
        keep = not (folder.exact and folder.inherits is False)
        yield Directory(path=folder.path, owner=folder.owner, inherits=folder.inherits, keep_inherited=keep)
        if folder.exact or folder.inherits is False:
            yield from (AccessRule(path=folder.path, principal=kept, rights="FullControl") for kept in _kept(folder))
        yield from (rule.model_copy(update={"exact": rule.exact or folder.exact}) for rule in folder.rules)
        yield from folder.shared()
        if folder.exact:
            yield Scope(AccessRule, folder.path)


def _kept(folder: Folder) -> list[Principal]:
    """Who stays in a folder that is closed or ours, unless its rules speak of them."""
    named = {rule.principal for rule in folder.rules}
    return [principal for principal in ALWAYS if principal not in named]
