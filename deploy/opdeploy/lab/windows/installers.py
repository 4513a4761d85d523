"""Lab installers: files that say what they would do, and the verb that runs them.

A lab installer is a file of the line ``opdeploy-lab-installer`` and a JSON object. Nothing in it is a program: it names what a
setup leaves on a Windows, and how it behaves. Any other file is an error of the lab, never a silent success. Its keys, all of
which may be left out:

- ``takes``: looks that find its job running (`jobs`), 1 if not given.
- ``exit``: 0, 3010 and 1641 do what is told below; any other code does nothing.
- ``log``: what it writes, after its command line, into the file that ``/l*v "…"``, ``/LOG="…"`` or ``/log …`` names.
- ``silent``: switches without which it opens a window that nobody sees, and is ended at its time limit.
- ``hangs_beside``: services beside which it shows a message box, if one of them runs: ended at its time limit too.
- ``hangs``: it is ended at its time limit in any case.
- ``holds_pipes``: a child stays and holds its output open.
- ``needs``: ``system`` refuses a network logon, with 5, an MSI with 1603.
- ``returns_at_once``: looks at any job after its end until what it does is done: an NSIS uninstaller starts a copy of itself.
- ``signed_by``: ``{"subject", "issuer", "status"}``.
- ``product_code``: of an MSI, in braces. Windows keeps a copy of it in ``C:\\Windows\\Installer``, which ``/x {code}`` runs.
- ``installs``: ``{"key": {"view", "name", "values": {name: [kind, data]}}, "files": {path: {"text", "version"}}, "services":
  {name: command line}, "registry": [{"view", "path", "name", "kind", "data"}]}``; the key is that below ``Uninstall``.
- ``uninstaller``: ``{"path"}`` of another such file that it writes (an MSI's has no path), with keys of its own.
- ``uninstalls``: of an uninstaller, what it takes away again; ``made``: the folders and keys that go when they are empty.

Exit codes of msiexec.exe are Windows Installer's: 1605 no such product, 1618 another installation is in progress, 1619 no such
file, 1622 the log can't be written, 1639 a bad command line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from opdeploy.lab.windows import errors, files, programs, registry, services
from opdeploy.lab.windows.accounts import ADMINISTRATORS, Token
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State
from opdeploy.lab.windows.wire import ended

if TYPE_CHECKING:
    from opdeploy.lab.windows.verbs import Context

MARK = b"opdeploy-lab-installer\n"
SYSTEM = "S-1-5-18"
DONE = (0, 1641, 3010)
CACHE = "C:\\Windows\\Installer"
UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
_ACTION = re.compile(r"[/-](i|package|x|uninstall)(\{.*\})?", re.IGNORECASE)
_LOG = re.compile(r"[/-](?:log=(.+)|log|l[iwearucmopvx+!*]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Installer:
    takes: int = 1
    exit: int = 0
    log: str = ""
    silent: tuple[str, ...] = ()
    hangs: bool = False
    hangs_beside: tuple[str, ...] = ()
    holds_pipes: bool = False
    needs: str = ""
    returns_at_once: int = 0
    signed_by: Json = field(default_factory=dict)
    product_code: str = ""
    installs: Json = field(default_factory=dict)
    uninstaller: Json = field(default_factory=dict)
    uninstalls: Json = field(default_factory=dict)


def content(**keys: Any) -> bytes:
    """A lab installer's file. Raises TypeError for a key that there is not."""
    Installer(**keys)
    return MARK + json.dumps(keys, indent=1, ensure_ascii=False).encode() + b"\n"


def parse(data: bytes) -> Installer | None:
    """None for any other file."""
    return Installer(**json.loads(data[len(MARK) :])) if data.startswith(MARK) else None


# ---------------------------------------------------------------- the verb


def install_run(context: Context, given: Json) -> Json:
    state, file = context.state, given.get("file")
    if given.get("url"):
        _download(context, given["url"], given["file"])
    if file:
        _check(state, file, given)
    words = programs.split(given["line"])
    found = _meant(state, given["program"], words)
    if not context.token.elevated:
        raise _not_started("The requested operation requires elevation")
    code = found if isinstance(found, int) else _run(state, context.token, found, words, given["line"])
    state.installer_runs.append({"program": given["program"], "line": given["line"], "exit": code})
    answer = {"ended": code is not None, "whole": isinstance(found, int) or not found.holds_pipes, "stdout": "", "stderr": ""}
    return answer if code is None else answer | {"exit": code}


def looks(state: State, given: Json) -> int:
    """How often its job will be found running; 0 where it ends as soon as it began."""
    try:
        coming = parse(base64.b64decode(state.web.get(given["url"], ""))) if given.get("url") else None
        found = coming or _meant(state, given["program"], programs.split(given["line"]))
    except Refused:
        return 0
    return 0 if isinstance(found, int) else found.takes


def is_msi(given: Json) -> bool:
    return str(given["program"]).lower().rpartition("\\")[2] == "msiexec.exe"


def busy(state: State) -> bool:
    """Whether Windows Installer has an installation in progress: there can be one."""
    return any(runner["msi"] for runner in state.jobs.values())


def go_on(state: State) -> None:
    """A look: what programs that have ended left to a copy of themselves comes nearer to its end."""
    for left in state.unfinished:
        left["looks"] -= 1
        if left["looks"] < 0:
            _take_effect(state, Installer(**left["installer"]))
    state.unfinished = [left for left in state.unfinished if left["looks"] >= 0]


def _download(context: Context, url: str, path: str) -> None:
    if url not in context.state.web:
        text = f"The remote name could not be resolved: '{url}'"
        raise errors.dotnet(text, "System.Net.WebException", -2146233079)
    files.check_can_add(context.state, context.token, path, files.WRITE)
    files.put_file(context.state, path, ADMINISTRATORS, base64.b64decode(context.state.web[url]))


def _check(state: State, path: str, given: Json) -> None:
    entry = files.find(state, path)
    if entry is None:
        raise errors.file_not_found(path)
    data = files.data(entry)
    if hashlib.sha256(data).hexdigest() != str(given["sha256"]).lower():
        raise ended("BadHash", f"{path} has another hash")
    if given.get("subject"):
        installer = parse(data)
        signer = installer.signed_by if installer else {}
        told = "; ".join((signer["status"], signer["subject"], signer["issuer"])) if signer else "NotSigned"
        if told != f"Valid; {given['subject']}; {given['issuer']}":
            raise ended("BadSigner", f"{path} is signed: {told}")


# ---------------------------------------------------------------- what a command line runs


def _meant(state: State, program: str, words: list[str]) -> Installer | int:
    """What it would run, or the code that msiexec ends with at once. Raises Refused."""
    if is_msi({"program": program}):
        return _package(state, words)
    entry = files.find(state, program)
    if entry is None:
        raise _not_started("The system cannot find the file specified")
    return _installer(entry)


def _package(state: State, words: list[str]) -> Installer | int:
    at, action = next(((at, found) for at, word in enumerate(words) if (found := _ACTION.fullmatch(word))), (0, None))
    what = (action[2] or "".join(words[at + 1 : at + 2])) if action else ""
    if not action or not what:
        return 1639
    if busy(state):
        return 1618
    code = what if what.startswith("{") else ""
    if not code:
        entry = files.find(state, what)
        if entry is None:
            return 1619
        package = _installer(entry)
        if action[1].lower() in ("i", "package"):
            return package
        code = package.product_code
    return _kept(state, code) or 1605


def _kept(state: State, code: str) -> Installer | None:
    """Windows' own copy of an installed package."""
    copies = map(_installer, files.children(state, CACHE))
    return next((copy for copy in copies if copy.product_code.lower() == code.lower()), None)


def _installer(entry: Json) -> Installer:
    found = None if entry["directory"] else parse(files.data(entry))
    if found is None:
        raise errors.not_modelled(f"the program {entry['path']}, which is no lab installer")
    return found


def _not_started(message: str) -> Refused:
    return errors.dotnet(message, "System.ComponentModel.Win32Exception", -2147467259)


# ---------------------------------------------------------------- what it does


def _run(state: State, token: Token, installer: Installer, words: list[str], line: str) -> int | None:
    """Its exit code; None where it was ended at its time limit."""
    if installer.needs == "system" and token.user != SYSTEM:
        return 1603 if installer.product_code else 5
    if not _logged(state, token, installer, words, line):
        return 1622
    beside = any(services.runs(state, name) for name in installer.hangs_beside)
    if installer.hangs or beside or not set(installer.silent) <= set(words):
        return None
    if installer.exit in DONE and installer.returns_at_once:
        state.unfinished.append({"looks": installer.returns_at_once - 1, "installer": asdict(installer)})
    elif installer.exit in DONE:
        _take_effect(state, installer)
    return installer.exit


def _logged(state: State, token: Token, installer: Installer, words: list[str], line: str) -> bool:
    """Windows Installer writes UTF-16, and does nothing without the log that it was told to write."""
    at, found = next(((at, found) for at, word in enumerate(words) if (found := _LOG.fullmatch(word))), (0, None))
    path = (found[1] or "".join(words[at + 1 : at + 2])) if found else ""
    if not path:
        return True
    try:
        files.check_can_add(state, token, path, files.WRITE)
    except Refused:
        return not installer.product_code
    text = f"Command line: {line}\r\n{installer.log}"
    data = text.encode("utf-16") if installer.product_code else text.encode()
    files.put_file(state, path, ADMINISTRATORS, data)
    return True


def _take_effect(state: State, installer: Installer) -> None:
    if installer.uninstalls:
        _remove(state, installer.uninstalls)
    if installer.installs:
        _install(state, installer)


def _install(state: State, installer: Installer) -> None:
    what, made = installer.installs, list[str]()
    for path, file in what.get("files", {}).items():
        _put(state, path, file["text"].encode(), made)["version"] = file.get("version")
    for entry in _values(what):
        key = _key(state, entry["path"], made)
        registry.set_value(key, entry["name"], entry["kind"], entry["data"])
    for name, command in what.get("services", {}).items():
        services.create(state, name, command)
        services.set_running(state, name, True)
    if installer.uninstaller or installer.product_code:
        _leave_uninstaller(state, installer, made)


def _leave_uninstaller(state: State, installer: Installer, made: list[str]) -> None:
    """The last file that is written knows all that there is to take away, itself too."""
    options = dict(installer.uninstaller)
    name = hashlib.sha256(installer.product_code.encode()).hexdigest()[:7]
    path = options.pop("path", None) or f"{CACHE}\\{name}.msi"
    _put(state, path, b"", made)
    undone = dict(installer.installs) | {"made": made}
    undone["files"] = {**undone.get("files", {}), path: {}}
    left = content(**{"product_code": installer.product_code, **options, "uninstalls": undone})
    files.put_file(state, path, ADMINISTRATORS, left)


def _values(what: Json) -> list[Json]:
    """Every registry value that it writes, with its key's path in the 64-bit view."""
    found = [entry | {"path": _path(entry.get("view", ""), entry["path"])} for entry in what.get("registry", [])]
    if key := what.get("key"):
        at = {"path": _uninstall_key(key)}
        found += [at | {"name": name, "kind": kind, "data": data} for name, (kind, data) in key["values"].items()]
    return found


def _uninstall_key(key: Json) -> str:
    return _path(key.get("view", ""), f"{UNINSTALL}\\{key['name']}")


def _path(view: str, path: str) -> str:
    return re.sub(r"\ASOFTWARE\\", r"SOFTWARE\\WOW6432Node\\", path) if view == "Registry32" else path


def _put(state: State, path: str, data: bytes, made: list[str]) -> Json:
    _folder(state, files.parent_path(path), made)
    return files.put_file(state, path, ADMINISTRATORS, data)


def _folder(state: State, path: str, made: list[str]) -> None:
    if files.find(state, path) is None:
        _folder(state, files.parent_path(path), made)
        files.put_folder(state, path, ADMINISTRATORS)
        made.append(path)


def _key(state: State, path: str, made: list[str]) -> Json:
    parts = path.split("\\")
    above = ["\\".join(parts[:count]) for count in range(1, len(parts) + 1)]
    made += [path for path in above if registry.find(state, path) is None]
    return registry.create(state, path)


def _remove(state: State, what: Json) -> None:
    for name in what.get("services", {}):
        services.set_running(state, name, False)
        services.delete(state, name)
    for path in what.get("files", {}):
        state.files.pop(files.canonical(path).lower(), None)
    for entry in _values(what):
        if key := registry.find(state, entry["path"]):
            registry.remove_value(key, entry["name"])
    if key := what.get("key"):
        registry.remove_key(state, _uninstall_key(key))
    for path in reversed(what.get("made", [])):
        _remove_empty(state, path)


def _remove_empty(state: State, path: str) -> None:
    """A folder, or a key of the registry, that nobody has put anything into."""
    if ":" in path[:2]:
        if not files.children(state, path):
            state.files.pop(files.canonical(path).lower(), None)
        return
    key = registry.find(state, path)
    if key and not key["values"] and not key["keys"]:
        registry.remove_key(state, path)
