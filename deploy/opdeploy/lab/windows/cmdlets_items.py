"""Folders and files by New-Item and Remove-Item on the FileSystem provider, with their error ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import accounts, errors, files
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

_IO, _DENIED = "System.IO.IOException", "System.UnauthorizedAccessException"


def new_item(state: State, token: Token, call: Bound) -> list[Json]:
    if call.get("ItemType", "").lower() != "directory":
        raise errors.not_modelled(f"New-Item -ItemType {call.get('ItemType')}")
    for path in call.get("Path"):
        _new_folder(state, token, path, call)
    return []


def _new_folder(state: State, token: Token, path: str, call: Bound) -> None:
    missing = _missing_folders(state, path, call)
    if not missing:
        text = f"An item with the specified name {path} already exists."
        raise errors.item(text, _IO, "DirectoryExist", call.name, "ResourceExists", -2146232800)
    for one in missing:
        parent = files.find(state, files.parent_path(one))
        if parent is None or not parent["directory"] or not files.permits(state, token, parent, files.ADD_FOLDER):
            text = f"Access to the path '{one}' is denied."
            category = "PermissionDenied"
            raise errors.item(text, _DENIED, "CreateDirectoryUnauthorizedAccessError", call.name, category, errors.DENIED)
        files.put_folder(state, one, accounts.ADMINISTRATORS if token.elevated else token.user)


def _missing_folders(state: State, path: str, call: Bound) -> list[str]:
    """The folders to make, outermost first. Raises Refused where the drive or a name is none."""
    _check_drive(state, path, call)
    if not files.well_formed(path):
        text = "The given path's format is not supported."
        raise errors.item(text, "System.NotSupportedException", "ItemExistsNotSupportedError", call.name, "InvalidOperation")
    missing: list[str] = []
    one = files.canonical(path)
    while files.find(state, one) is None:
        missing.insert(0, one)
        one = files.parent_path(one)
    return missing


def _check_drive(state: State, path: str, call: Bound) -> None:
    if files.find(state, path[:3]) is None:
        text = f"Cannot find drive. A drive with the name '{path[0]}' does not exist."
        type = "System.Management.Automation.DriveNotFoundException"
        raise errors.item(text, type, "DriveNotFound", call.name, "ObjectNotFound")


def remove_item(state: State, token: Token, call: Bound) -> list[Json]:
    for path in call.get("LiteralPath"):
        _remove(state, token, path, call)
    return []


def _remove(state: State, token: Token, path: str, call: Bound) -> None:
    _check_drive(state, path, call)
    entry = files.find(state, path)
    if entry is None:
        text = f"Cannot find path '{path}' because it does not exist."
        type = "System.Management.Automation.ItemNotFoundException"
        raise errors.item(text, type, "PathNotFound", call.name, "ObjectNotFound")
    if files.below(state, path):
        raise _would_ask(call)
    if not files.may_delete(state, token, entry) or not files.parent_path(path):
        text = f"Cannot remove item {path}: Access to the path is denied."
        raise errors.item(text, _DENIED, "RemoveFileSystemItemUnAuthorizedAccess", call.name, "PermissionDenied", errors.DENIED)
    del state.files[files.canonical(path).lower()]


def _would_ask(call: Bound) -> Refused:
    """A folder with something in it: PowerShell would ask, and may not."""
    text = "Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available."
    type = "System.Management.Automation.PSInvalidOperationException"
    return errors.item(text, type, "InvalidOperation", call.name, "InvalidOperation", -2146233079)


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {"New-Item": new_item, "Remove-Item": remove_item}
