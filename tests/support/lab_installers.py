"""Lab installers for tests and the demo: a setup of each kind from a few words (`opdeploy.lab.windows.installers`).

What else its file can say goes into `more`: ``takes=2``, ``exit=1603``, ``needs="system"``.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from opdeploy.calls import Call, file_append, file_commit
from opdeploy.lab.windows import installers
from opdeploy.lab.windows.state import State

CODE = "{6F320B93-EE3C-4826-85E0-ADF79F8D4C61}"
SIGNER = {"subject": "CN=OP Software (lab)", "issuer": "CN=opdeploy lab CA", "status": "Valid"}
WINDOWS_INSTALLER = "C:\\Windows\\System32\\msiexec.exe"


def inno(name: str = "OP Tool", version: str = "1.2.3", *, key: str = "OPTool", **more: Any) -> bytes:
    folder = f"C:\\Program Files\\{name}"
    uninstaller = {"path": f"{folder}\\unins000.exe", "silent": ["/VERYSILENT"]}
    values = _values(name, version, uninstaller["path"])
    values["QuietUninstallString"] = ["String", f'"{uninstaller["path"]}" /SILENT']
    installed = _installed(f"{key}_is1", values, f"{folder}\\tool.exe", version, more)
    return installers.content(**{"silent": ["/VERYSILENT"], "uninstaller": uninstaller, "installs": installed} | more)


def nsis(name: str = "OP Editor", version: str = "8.6.9", *, key: str = "OPEditor", after: int = 1, **more: Any) -> bytes:
    """`after`: looks after its uninstaller's end until the program is gone."""
    folder = f"C:\\Program Files\\{name}"
    uninstaller = {"path": f"{folder}\\uninstall.exe", "silent": ["/S"], "takes": 0, "returns_at_once": after}
    installed = _installed(key, _values(name, version, uninstaller["path"]), f"{folder}\\editor.exe", version, more)
    return installers.content(**{"silent": ["/S"], "uninstaller": uninstaller, "installs": installed} | more)


def msi(name: str = "OP Agent", version: str = "24.1.0", *, code: str = CODE, **more: Any) -> bytes:
    values = _values(name, version, "")
    values |= {"UninstallString": ["ExpandString", f"MsiExec.exe /X{code}"], "WindowsInstaller": ["DWord", 1]}
    installed = _installed(code, values, f"C:\\Program Files\\{name}\\agent.exe", version, more)
    quiet = {"silent": ["/qn"]}
    return installers.content(**quiet | {"product_code": code, "uninstaller": quiet, "installs": installed} | more)


def _values(name: str, version: str, uninstaller: str) -> dict[str, list[Any]]:
    told = {"DisplayName": f"{name} {version}", "DisplayVersion": version, "UninstallString": f'"{uninstaller}"'}
    return {value: ["String", data] for value, data in told.items()}


def _installed(key: str, values: dict[str, Any], program: str, version: str, more: dict[str, Any]) -> dict[str, Any]:
    """`services` and `view` in `more` are of what it installs."""
    return {
        "key": {"view": more.pop("view", "Registry64"), "name": key, "values": values},
        "files": {program: {"text": f"the program of {program}", "version": version}},
        "services": more.pop("services", {}),
    }


# ---------------------------------------------------------------- on a host


def pushed(path: str, data: bytes) -> list[Call]:
    """The writes that bring a file there."""
    return [file_append(path, 0, data), file_commit(path, digest(data))]


def offered(state: State, url: str, data: bytes) -> None:
    """From now on the host can download it."""
    state.web[url] = base64.b64encode(data).decode()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
