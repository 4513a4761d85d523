"""What WinRM keeps of an endpoint: the document as Windows stores it, its list by meaning, and what is none."""

from __future__ import annotations

import pytest

from opdeploy.formats import sddl
from opdeploy.formats.wsman_plugin import Plugin, access_list, parse

OP = "S-1-5-21-1-2-3-1005"
# As PowerShell's own documents are stored (attributes as in the registry of a Windows 10), with one of ours in it.
DOCUMENT = """             <PlugInConfiguration xmlns="http://schemas.microsoft.com/wbem/wsman/1/config/PluginConfiguration"
    Name="OP-Support" Filename="%windir%\\system32\\pwrshplugin.dll" SDKVersion="2" XmlRenderingType="text" {attributes}>
  <InitializationParameters><Param Name="{param}" Value="C:\\x\\OP-Support_1.pssc"/><Param Name="PSVersion" Value="5.1"/>
  </InitializationParameters><Resources><Resource ResourceUri="http://schemas.microsoft.com/powershell/OP-Support"
  SupportsOptions="true" ExactMatch="true"><Security Uri="http://schemas.microsoft.com/powershell/OP-Support"
  Sddl="{sddl}" ExactMatch="true"/><Capability Type="Shell"/></Resource></Resources>
  <Quotas MaxMemoryPerShellMB="1024"/></PlugInConfiguration>"""


def document(
    attributes: str = 'RunAsVirtualAccount="true" Enabled="true"', param: str = "ConfigFilePath", text: str = ""
) -> str:
    return DOCUMENT.format(attributes=attributes, param=param, sddl=text or access_list([OP]))


def test_what_tells_one_endpoint_from_another_is_read() -> None:
    assert parse(document()) == Plugin("C:\\x\\OP-Support_1.pssc", frozenset({OP}), virtual_account=True, enabled=True)
    assert parse(document(param="configfilepath")).file == "C:\\x\\OP-Support_1.pssc"


def test_what_is_left_out_means_on_and_as_whoever_connects() -> None:
    plugin = parse(document(attributes=""))
    assert (plugin.enabled, plugin.virtual_account) == (True, False)
    assert not parse(document(attributes='Enabled="False"')).enabled


@pytest.mark.parametrize(
    "text",
    [
        "O:NSG:BAD:P(D;;GA;;;NU)(A;;GA;;;BA)",
        "O:NSG:BAD:P(A;;GR;;;BA)",
        "O:NSG:BAD:P(XA;;GA;;;BA;(Member_of {SID(BU)}))",
        "O:NSG:BA",
    ],
)
def test_a_list_that_says_more_than_who_is_no_plain_one(text: str) -> None:
    assert parse(document(text=text)).allowed is None


def test_our_list_is_sddl_that_lets_in_these_and_nobody_else() -> None:
    found = sddl.parse(access_list([OP, "S-1-5-32-555"]))
    assert found.dacl
    assert "P" in found.dacl.flags
    assert {(ace.type, ace.sid) for ace in found.dacl.aces} == {("A", OP), ("A", "S-1-5-32-555")}


@pytest.mark.parametrize("text", ["", "<x", "<x/>", "<!DOCTYPE x []><x/>", document(text="D:(A;;GA;;;nobody)")])
def test_what_is_no_plugins_configuration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)
