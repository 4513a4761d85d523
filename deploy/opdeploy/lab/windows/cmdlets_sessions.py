"""PowerShell endpoints: Register- and Unregister-PSSessionConfiguration over WinRM's plugins in the registry.

As Windows PowerShell 5.1 does it, with a session configuration file and a list given: a copy of the file, a plugin that names
it, and for a virtual account WinRM as LocalSystem in a process of its own, which stays so. Nothing is in effect before WinRM is
restarted, and these two never restart it here: with what the agent lists, nor do the real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import quoteattr

from opdeploy.lab.windows import accounts, errors, files, registry
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

PLUGINS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN\Plugin"
COPIES = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\SessionConfig"
WINRM = rf"{accounts.SERVICES}\WinRM"
_RESOURCE = "http://schemas.microsoft.com/powershell/"
_PLUGIN = (
    '<PlugInConfiguration xmlns="http://schemas.microsoft.com/wbem/wsman/1/config/PluginConfiguration" Name={name} '
    'Filename="%windir%\\system32\\pwrshplugin.dll" SDKVersion="2" XmlRenderingType="text" UseSharedProcess="false" '
    'ProcessIdleTimeoutSec="0" RunAsVirtualAccount="{virtual}" RunAsVirtualAccountGroups="" Enabled="true" '
    'OutputBufferingMode="Block"><InitializationParameters><Param Name="ConfigFilePath" Value={copy}/>'
    '<Param Name="PSVersion" Value="5.1"/></InitializationParameters><Resources><Resource ResourceUri={uri} '
    'SupportsOptions="true" ExactMatch="true"><Security Uri={uri} ExactMatch="true" Sddl={sddl}/><Capability Type="Shell"/>'
    "</Resource></Resources></PlugInConfiguration>"
)


def register(state: State, token: Token, call: Bound) -> list[Json]:
    name, path = call.get("Name"), call.get("Path")
    _check_administrator(token)
    if not call.given("SecurityDescriptorSddl") or not call.get("NoServiceRestart"):
        raise errors.not_modelled(f"{call.name} without a list, or with a restart of WinRM")
    source = files.find(state, path)
    if source is None or not path.lower().endswith(".pssc"):
        raise _unusable(path, call)
    text = files.data(source).decode("utf-8-sig")
    if registry.find(state, rf"{PLUGINS}\{name}") is not None:
        raise errors.item(
            "The resource already exists.", "System.InvalidOperationException", "WsManError", "New-Item", "ResourceExists"
        )
    virtual = _value(text, "RunAsVirtualAccount").lower() == "$true"
    copy = f"{COPIES}\\{name}_{_value(text, 'GUID')}.pssc"
    if files.find(state, COPIES) is None:
        files.put_folder(state, COPIES, accounts.ADMINISTRATORS)
    files.put_file(state, copy, accounts.ADMINISTRATORS, files.data(source))
    document = _PLUGIN.format(
        name=quoteattr(name),
        virtual=str(virtual).lower(),
        copy=quoteattr(copy),
        uri=quoteattr(_RESOURCE + name),
        sddl=quoteattr(call.get("SecurityDescriptorSddl")),
    )
    registry.set_value(registry.create(state, rf"{PLUGINS}\{name}"), "ConfigXML", "String", document)
    if virtual:
        _move_winrm(state)
    return []


def _move_winrm(state: State) -> None:
    key = registry.create(state, WINRM)
    privileges = registry.value(key, "RequiredPrivileges", [])
    registry.set_value(key, "Type", "DWord", 0x10)
    registry.set_value(key, "ObjectName", "String", "LocalSystem")
    registry.set_value(key, "RequiredPrivileges", "MultiString", [*privileges, *{"SeTcbPrivilege"} - set(privileges)])


def unregister(state: State, token: Token, call: Bound) -> list[Json]:
    _check_administrator(token)
    if not call.get("Force") or not call.get("NoServiceRestart"):
        raise errors.not_modelled(f"{call.name} that asks, or restarts WinRM")
    key = registry.find(state, rf"{PLUGINS}\{call.get('Name')}")
    if key is None:
        text = f'No session configuration matches criteria "{call.get("Name")}".'
        type = "Microsoft.PowerShell.Commands.WriteErrorException"
        raise Refused(text, type, f"{type},Unregister-PSSessionConfiguration", "NotSpecified")
    found = re.search(r'Name="ConfigFilePath" Value="([^"]*)"', registry.value(key, "ConfigXML", ""))
    if found and files.find(state, found[1]) is not None:
        del state.files[files.canonical(found[1]).lower()]
    registry.remove_key(state, rf"{PLUGINS}\{call.get('Name')}")
    return []


def _value(text: str, key: str) -> str:
    found = re.search(rf"'{key}' = '?([^'\s]*)", text)
    return found[1] if found else ""


def _check_administrator(token: Token) -> None:
    if not token.elevated:
        text = 'Access is denied. To run this cmdlet, start Windows PowerShell with the "Run as administrator" option.'
        raise Refused(text, "System.InvalidOperationException", "System.InvalidOperationException", "NotSpecified", -2146233079)


def _unusable(path: str, call: Bound) -> Refused:
    text = f"The PowerShell session configuration file {path} could not be loaded."
    type = "System.InvalidOperationException"
    return errors.item(text, type, "InvalidPSSessionConfigurationFilePath", call.name, "InvalidArgument", -2146233079)


COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "Register-PSSessionConfiguration": register,
    "Unregister-PSSessionConfiguration": unregister,
}
