"""Files and folders of the local drives, with who may do what to them.

Shape: ``state.files[lower path]`` is ``{path, directory, modified, owner, group, control, aces, data (base64), version}``; a
drive is the folder ``c:\\``. `aces` are the explicit entries as SDDL text: what is inherited follows from the parents.
`control` is '', 'AI', 'P' or 'PAI'.
"""

from __future__ import annotations

import base64
import re

from opdeploy.lab.windows import inheritance, sddl
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.errors import access_denied, directory_not_found, thrown
from opdeploy.lab.windows.sddl import Ace, Acl, Descriptor
from opdeploy.lab.windows.state import Growing, Json, State

READ, WRITE, READ_CONTROL, WRITE_DAC, WRITE_OWNER, DELETE = 0x1, 0x2, 0x20000, 0x40000, 0x80000, 0x10000
ADD_FOLDER, DELETE_CHILD = 0x4, 0x40
NOT_LOCAL = "'{}' is not a local path"
_ILLEGAL = re.compile(r'[<>"|?*\x00-\x1f]|:(?=.)')


def canonical(path: str) -> str:
    """A full path without a bar at its end. Raises Refused for what is not on a local drive."""
    if not re.match(r"[A-Za-z]:\\", path):
        raise thrown(NOT_LOCAL.format(path))
    parts = [part for part in path[3:].replace("/", "\\").split("\\") if part not in ("", ".")]
    return path[:3] + "\\".join(parts)


def well_formed(path: str) -> bool:
    return not _ILLEGAL.search(path[3:])


def find(state: State, path: str) -> Json | None:
    found: Json | None = state.files.get(canonical(path).lower())
    return found


def parent_path(path: str) -> str:
    """The folder above; of a drive, ''."""
    path = canonical(path)
    above, _, name = path.rpartition("\\")
    return "" if not name else above + "\\" if above.endswith(":") else above


def children(state: State, path: str) -> list[Json]:
    prefix = canonical(path).lower().removesuffix("\\") + "\\"
    return [
        entry
        for lower, entry in state.files.items()
        if lower.startswith(prefix) and lower != prefix and "\\" not in lower[len(prefix) :]
    ]


def below(state: State, path: str) -> list[str]:
    """The keys of everything under a folder."""
    prefix = canonical(path).lower().removesuffix("\\") + "\\"
    return [lower for lower in state.files if lower.startswith(prefix) and lower != prefix]


def put_folder(state: State, path: str, owner: str) -> Json:
    entry = _entry(state, path, owner, directory=True) | {"aces": [], "control": "AI"}
    state.files[canonical(path).lower()] = entry
    return entry


def put_file(state: State, path: str, owner: str, data: bytes, version: str | None = None) -> Json:
    """A new file, or new contents for one that keeps its security."""
    entry = find(state, path) or _entry(state, path, owner, directory=False) | {"aces": [], "control": "AI", "version": version}
    entry |= {"data": base64.b64encode(data).decode(), "modified": state.time}
    state.files[canonical(path).lower()] = entry
    return entry


def _entry(state: State, path: str, owner: str, directory: bool) -> Json:
    group = f"{state.facts.machine_sid}-513"
    return {"path": canonical(path), "directory": directory, "modified": state.time, "owner": owner, "group": group}


def write_at(state: State, path: str, owner: str, offset: int, piece: bytes) -> None:
    """A file cut at `offset`, and the piece after it."""
    entry = find(state, path) or put_file(state, path, owner, b"")
    growing = entry["data"] if isinstance(entry["data"], Growing) else Growing(data(entry))
    growing.data[offset:] = piece
    entry |= {"data": growing, "modified": state.time}


def data(entry: Json) -> bytes:
    found = entry["data"]
    return bytes(found.data) if isinstance(found, Growing) else base64.b64decode(found)


def size(entry: Json) -> int:
    found = entry["data"]
    return len(found.data) if isinstance(found, Growing) else len(data(entry))


# ---------------------------------------------------------------- security


def descriptor(state: State, entry: Json) -> Descriptor:
    """As the file system has it now: explicit entries, then inherited ones."""
    control = frozenset(flag for flag in ("P", "AI") if flag in entry["control"])
    aces = _explicit(state, entry) + (() if "P" in control else _inherited(state, entry))
    return Descriptor(entry["owner"], entry["group"], Acl(aces, control))


def text(state: State, entry: Json) -> str:
    return sddl.render(descriptor(state, entry), state.facts.machine_sid)


def _explicit(state: State, entry: Json) -> tuple[Ace, ...]:
    read = sddl.parse("D:" + "".join(entry["aces"]), state.facts.machine_sid)
    return read.dacl.aces if read.dacl else ()


def _inherited(state: State, entry: Json) -> tuple[Ace, ...]:
    parent = state.files.get(parent_path(entry["path"]).lower()) if parent_path(entry["path"]) else None
    if parent is None:
        return ()
    above = descriptor(state, parent).dacl
    aces = inheritance.inherited(above.aces if above else (), entry["directory"], entry["owner"], entry["group"])
    return inheritance.without_covered(aces)


def write_access(state: State, entry: Json, acl: Acl) -> None:
    """Replaces the discretionary list as SetNamedSecurityInfo does: inherited entries are made anew, AI is set."""
    aces = inheritance.as_written(acl.aces, entry["directory"])
    entry["aces"] = [sddl.ace_text(ace, state.facts.machine_sid) for ace in aces]
    entry["control"] = "PAI" if "P" in acl.control else "AI"


def permits(state: State, token: Token, entry: Json, mask: int) -> bool:
    found = descriptor(state, entry)
    granted = inheritance.granted(found.dacl.aces if found.dacl else (), token.sids)
    if found.owner in token.sids:
        granted |= READ_CONTROL | WRITE_DAC
    if token.elevated:
        granted |= WRITE_OWNER
    return granted & mask == mask


def check(state: State, token: Token, entry: Json, mask: int) -> None:
    """Raises Refused: access to the path is denied."""
    if not permits(state, token, entry, mask):
        raise access_denied(entry["path"])


def check_can_add(state: State, token: Token, path: str, mask: int) -> Json:
    """The folder above, where something may be added. Raises Refused."""
    parent = find(state, parent_path(path)) if parent_path(path) else None
    if parent is None or not parent["directory"]:
        raise directory_not_found(path)
    check(state, token, parent, mask)
    return parent


def may_delete(state: State, token: Token, entry: Json) -> bool:
    above = parent_path(entry["path"])
    parent = find(state, above) if above else None
    return permits(state, token, entry, DELETE) or (parent is not None and permits(state, token, parent, DELETE_CHILD))
