"""What WinRM keeps of a registered PowerShell endpoint: the `ConfigXML` value of its plugin's registry key.

MS-WSMV 2.2.4.22 (PluginType) has the document; what a PowerShell endpoint's has in it is as `Register-PSSessionConfiguration`
makes it (PowerShell's source, `pluginXmlFormat`). Only what tells one endpoint from another is read.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from opdeploy.formats import sddl

_NAMESPACE = "{http://schemas.microsoft.com/wbem/wsman/1/config/PluginConfiguration}"
GENERIC_ALL = 0x10000000


@dataclass(frozen=True)
class Plugin:
    """`file`: the copy of the session configuration that counts; `allowed`: the SIDs that may connect.

    `allowed` is None where the list says more than that: it denies, or allows in part or under a condition.
    """

    file: str
    allowed: frozenset[str] | None
    virtual_account: bool
    enabled: bool


def parse(document: str, machine_sid: str | None = None, domain_sid: str | None = None) -> Plugin:
    """Raises ValueError where it is no plugin's configuration."""
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise ValueError("a plugin's configuration with a document type is refused")
    try:
        root = ET.fromstring(document.strip())  # noqa: S314 - no document type, hence no entities
    except ET.ParseError as error:
        raise ValueError(f"not XML: {error}") from None
    if root.tag != f"{_NAMESPACE}PlugInConfiguration":
        raise ValueError(f"not a plugin's configuration but {root.tag}")
    given = {item.get("Name", "").lower(): item.get("Value", "") for item in root.iter(f"{_NAMESPACE}Param")}
    lists = [sddl.parse(item.get("Sddl", ""), machine_sid, domain_sid) for item in root.iter(f"{_NAMESPACE}Security")]
    return Plugin(
        file=given.get("configfilepath", ""),
        allowed=_allowed(lists),
        virtual_account=root.get("RunAsVirtualAccount", "").lower() == "true",
        enabled=root.get("Enabled", "true").lower() == "true",
    )


def _allowed(lists: list[sddl.SecurityDescriptor]) -> frozenset[str] | None:
    dacls = [found.dacl for found in lists]
    if len(dacls) != 1 or dacls[0] is None:
        return None
    aces = dacls[0].aces
    plain = all((ace.type, ace.flags, ace.mask) == ("A", frozenset(), GENERIC_ALL) for ace in aces)
    return frozenset(ace.sid for ace in aces) if plain else None


def access_list(sids: Iterable[str]) -> str:
    """The list of an endpoint that only these may connect to, in the form of those that Windows comes with."""
    return f"O:NSG:BAD:P{''.join(f'(A;;GA;;;{sid})' for sid in sorted(sids))}S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)"
