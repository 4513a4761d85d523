"""Folders and who may do what in them. In one that is `exact`, each rule is its principal's only one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import field_validator, model_validator

from opdeploy.inventory import Host
from opdeploy.model import Principal
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.directory import Directory
from opdeploy.resources.values import LocalPath
from opdeploy.roles import Required, RoleSettings

NEEDS = ("support_account",)  # rules may name its account
ALWAYS = (Principal.of_sid("S-1-5-18"), Principal.of_sid("S-1-5-32-544"))  # SYSTEM and Administrators


class Folder(RoleSettings):
    path: LocalPath = Required(r"where the folder is on the host, such as D:\OP\gbd_common")
    owner: Principal | None = None
    inherits: bool | None = None
    exact: bool = False
    rules: tuple[AccessRule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _rules_have_its_path(cls, given: Any) -> Any:
        rules = given.get("rules") if isinstance(given, Mapping) else None
        if not isinstance(rules, list):
            return given
        return {**given, "rules": [_with_path(rule, given.get("path")) for rule in rules]}


def _with_path(rule: Any, path: Any) -> Any:
    if not isinstance(rule, Mapping):
        return rule
    if "path" in rule:
        raise ValueError("a rule's path is its folder's; take path out of the rule")
    return {**rule, "path": path}


class Settings(RoleSettings):
    folders: dict[str, Folder] = Required("a name for each folder, and below it path and rules")

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
        if folder.exact:
            yield Scope(AccessRule, folder.path)


def _kept(folder: Folder) -> list[Principal]:
    """Who stays in a folder that is closed or ours, unless its rules speak of them."""
    named = {rule.principal for rule in folder.rules}
    return [principal for principal in ALWAYS if principal not in named]
