"""Installed programs as their `Uninstall` registry keys describe them.

No open specification: Microsoft's reference of the Uninstall registry key for MSI, the installers' own sources for the
rest (WiX Burn, Inno Setup, NSIS, InstallShield, Squirrel). The kind of installer is a guess from what each of them
leaves. Strings are kept as written: version is free text, command lines may be unquoted and end in blanks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["msi", "burn", "inno", "nsis", "installshield", "squirrel", "unknown"]

_GUID = re.compile(r"\{[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", re.IGNORECASE)
_UPDATES = frozenset({"update", "hotfix", "security update", "service pack", "update rollup"})
_NSIS = re.compile(r'(?:^|[\\/"])(?:un(?:inst|install|installer)?(?:[-_ ][^\\/"]*)?)\.exe', re.IGNORECASE)


@dataclass(frozen=True)
class InstalledProgram:
    """`key` is the key's name, `product_code` an MSI product's, upper case; `is_update`: a patch of another program."""

    key: str
    kind: Kind
    product_code: str | None = None
    display_name: str | None = None
    display_version: str | None = None
    publisher: str | None = None
    uninstall_string: str | None = None
    quiet_uninstall_string: str | None = None
    install_location: str | None = None
    upgrade_codes: tuple[str, ...] = ()
    is_update: bool = False
    hidden: bool = False
    removable: bool = True

    @property
    def listed(self) -> bool:
        """Whether Windows shows it among the installed programs."""
        removal_known = self.uninstall_string is not None or not self.removable
        return self.display_name is not None and removal_known and not self.hidden and not self.is_update


def parse(key: str, values: Mapping[str, object]) -> InstalledProgram:
    """Read one key: `key` its name without the path, `values` by name (case ignored), numbers and lists as such."""
    data = {name.lower(): value for name, value in values.items()}
    kind = _kind(key, data)
    return InstalledProgram(
        key=key,
        kind=kind,
        product_code=key.upper() if kind == "msi" and _GUID.fullmatch(key) else None,
        display_name=_string(data, "DisplayName"),
        display_version=_string(data, "DisplayVersion"),
        publisher=_string(data, "Publisher"),
        uninstall_string=_string(data, "UninstallString"),
        quiet_uninstall_string=_string(data, "QuietUninstallString"),
        install_location=_string(data, "InstallLocation"),
        upgrade_codes=_strings(data.get("bundleupgradecode")),
        is_update="parentkeyname" in data or str(data.get("releasetype", "")).lower() in _UPDATES,
        hidden=data.get("systemcomponent") == 1,
        removable=data.get("noremove") != 1,
    )


def _kind(key: str, data: Mapping[str, object]) -> Kind:
    command = str(data.get("uninstallstring", ""))
    clues: dict[Kind, bool] = {
        "msi": data.get("windowsinstaller") == 1,
        "burn": "bundlecachepath" in data or "bundleproviderkey" in data,
        "inno": key.lower().endswith("_is1") or any(name.startswith("inno setup:") for name in data),
        "installshield": key.lower().startswith("installshield_") or _is_installshield(command.lower()),
        "squirrel": re.search(r"update\.exe\W+--uninstall", command, re.IGNORECASE) is not None,
        "nsis": _NSIS.search(command) is not None,
    }
    if not any(clues.values()) and re.match(r"\W*msiexec", command, re.IGNORECASE):
        return "msi"
    return next((kind for kind, found in clues.items() if found), "unknown")


def _is_installshield(command: str) -> bool:
    return "-runfromtemp" in command or "launchsetup" in command or "installshield installation information" in command


def _string(data: Mapping[str, object], name: str) -> str | None:
    value = data.get(name.lower())
    return value if isinstance(value, str) and value else None


def _strings(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
