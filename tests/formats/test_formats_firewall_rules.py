"""Firewall rule lines: what each field means, which spellings mean the same, and that nothing gets lost."""

from __future__ import annotations

import pytest
from format_samples import OURS, read_pol, read_reg, rows, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats import firewall_rules as fr

RULES = dict(rows(OURS / "firewall-rules.tsv"))


@pytest.mark.parametrize("name", RULES)
def test_a_line_is_printed_as_windows_wrote_it(name: str) -> None:
    assert fr.render(fr.parse(name, RULES[name])) == RULES[name]


def test_fields_say_what_the_cmdlets_show() -> None:
    rule = fr.parse("OP-Firebird-In", RULES["OP-Firebird-In"])
    assert rule == fr.Rule(
        name="OP-Firebird-In",
        version="v2.31",
        action="Allow",
        active=True,
        direction="Inbound",
        profiles=frozenset({"Domain", "Private"}),
        protocol=6,
        local_ports=frozenset({"3050", "3060-3069"}),
        remote_addresses=frozenset({"10.20.0.0/24", "10.20.1.7"}),
        program=r"C:\Firebird\bin\fbserver.exe",
        display_name="OP Firebird",
        group="OP",
    )


def test_keywords_of_both_families_are_one_word_and_of_one_family_keep_it() -> None:
    cast = fr.parse("PlayTo-In-UDP", RULES["PlayTo-In-UDP"])
    ping = fr.parse("FPS-ICMP4-ERQ-In", RULES["FPS-ICMP4-ERQ-In"])
    assert cast.remote_addresses == {"PlayToDevice", "LocalSubnet"}
    assert ping.remote_addresses == {"LocalSubnet4"}
    assert (ping.icmp, cast.local_ports, cast.edge) == ({"8"}, {"PlayToDiscovery"}, "DeferToApp")
    assert cast.interface_types == {"Wired"}


def test_both_spellings_of_iphttps_are_one_port() -> None:
    assert fr.parse("x", RULES["CoreNet-IPHTTPS-In"]).local_ports == {"IPHTTPSIn"}


def test_what_is_not_understood_is_kept_and_never_read_as_any() -> None:
    rule = fr.parse("later", RULES["{0D9C3C1E-5D4C-4B4E-9F9D-0A86F2C9A8B1}"])
    assert rule.local_ports == {"LPort2_31=Future"}
    assert rule.remote_addresses == {"RA4=Elsewhere"}
    assert ("AppPkgId", "") in rule.others
    assert ("Zukunft", "a=b") in rule.others


def test_a_key_that_is_absent_means_any_or_false() -> None:
    rule = fr.parse("x", "v2.31|Action=Block|Dir=Out|Name=n|")
    assert (rule.active, rule.profiles, rule.protocol, rule.edge) == (False, fr.ALL_PROFILES, None, "Block")
    assert rule.local_ports == rule.remote_addresses == rule.interfaces == frozenset()
    assert (rule.program, rule.service, rule.description) == (None, None, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v2.10|Action=Allow|Dir=In|", "v2.31|Dir=In|Action=Allow|"),
        ("v2.31|Action=Allow|Profile=Domain|Profile=Private|Profile=Public|", "v2.31|Action=Allow|"),
        (r"v2.31|Action=Allow|App=C:\A.exe|Svc=Rpcss|", r"v2.31|Action=Allow|App=c:\a.EXE|Svc=rpcss|"),
        ("V2.0|Action=Block|LPORT=68|app=System|Dir=in|", "v2.0|Action=Block|LPort=68|App=System|Dir=In|"),
        ("v2.31|Action=Allow|RA4=10.0.0.1|RA4=10.8.0.0/30|", "v2.31|Action=Allow|RA4=10.8.0.0/255.255.255.252|RA4=10.0.0.1|"),
        ("v2.31|Action=Allow|RA4=10.0.0.1|", "v2.31|Action=Allow|RA4=10.0.0.1/32|"),
        ("v2.31|Action=Allow|Edge=FALSE|Active=FALSE|", "v2.31|Action=Allow"),
        ("v2.31|Action=Allow|B=1|A=1|", "v2.31|Action=Allow|A=1|B=1|"),
    ],
)
def test_these_lines_mean_the_same(one: str, other: str) -> None:
    assert fr.meaning(fr.parse("Rule", one)) == fr.meaning(fr.parse("rule", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v2.31|Action=Allow|RA4=LocalSubnet|", "v2.31|Action=Allow|RA4=LocalSubnet|RA6=LocalSubnet|"),
        ("v2.31|Action=Allow|Svc=*|", "v2.31|Action=Allow|"),
        ("v2.31|Action=Allow|AppPkgId=|", "v2.31|Action=Allow|"),
        ("v2.31|Action=Allow|Profile=Later|", "v2.31|Action=Allow|"),
        ("v2.31|Action=Allow|Platform=1:1:1|Platform=2:2:2|", "v2.31|Action=Allow|Platform=2:2:2|Platform=1:1:1|"),
        ("v2.31|Action=Allow|LPort=80,443|", "v2.31|Action=Allow|"),
        ("v2.31|Action=Allow|Protocol=300|", "v2.31|Action=Allow|"),
        ("v2.31|Action=Allow|RA4=fe80::1|", "v2.31|Action=Allow|RA6=fe80::1|"),
    ],
)
def test_these_lines_do_not_mean_the_same(one: str, other: str) -> None:
    assert fr.meaning(fr.parse("rule", one)) != fr.meaning(fr.parse("rule", other))


@pytest.mark.parametrize("line", ["", "|", "Action=Allow|", "v2|Action=Allow|", "O:BAD:(A;;FA;;;BA)", "v2.31|"])
def test_what_is_no_rule_line_is_refused_by_name(line: str) -> None:
    with pytest.raises(ValueError, match="OP-x"):
        fr.parse("OP-x", line)


def test_a_bar_cannot_be_smuggled_into_a_line() -> None:
    with pytest.raises(ValueError, match="Name"):
        fr.render(fr.Rule(name="x", display_name="a|Action=Block"))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("10.20.0.0/255.255.255.0", "10.20.0.0/24"),
        ("10.20.0.9/24", "10.20.0.0/24"),
        (" 10.20.0.7/32 ", "10.20.0.7"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("10.0.0.1 - 10.0.0.1", "10.0.0.1"),
        ("FE80::/64", "fe80::/64"),
        ("fe80:0:0::1/128", "fe80::1"),
        ("localsubnet", "LocalSubnet"),
        ("LOCALSUBNET6", "LocalSubnet6"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("*", "Any"),
        ("any", "Any"),
    ],
)
def test_an_address_has_one_spelling(written: str, canonical: str) -> None:
    assert fr.address(written) == canonical


@pytest.mark.parametrize(
    "nonsense",
    ["", "server1", "10.0.0", "10.0.0.256", "10.0.0.0/33", "10.0.0.0/0.0.0.255", "10.0.0.0/255.0.255.0", "10.0.0.9-10.0.0.1",
     "10.0.0.1-fe80::1", "10.0.0.0/24-10.0.1.0/24", "1,2", "RA4=x"],
)  # fmt: skip
def test_nonsense_is_no_address_and_the_error_shows_what_is(nonsense: str) -> None:
    with pytest.raises(ValueError, match=r"10\.20\.0\.0/24"):
        fr.address(nonsense)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [(80, "80"), ("0080", "80"), ("80-80", "80"), ("5000-5020", "5000-5020"), ("rpc", "RPC"), ("RPC-EPMap", "RPCEPMap"),
     ("IPTLSIn", "IPHTTPSIn"), ("*", "Any"), (65535, "65535")],
)  # fmt: skip
def test_a_port_has_one_spelling(written: str | int, canonical: str) -> None:
    assert fr.port(written) == canonical


@pytest.mark.parametrize("nonsense", ["", "http", 65536, "-1", "90-80", "80,443", "1-2-3", "٣"])
def test_nonsense_is_no_port(nonsense: str | int) -> None:
    with pytest.raises(ValueError, match="5000-5020"):
        fr.port(nonsense)


def test_icmp_types_and_protocols_have_one_spelling() -> None:
    assert [fr.icmp("8:*"), fr.icmp(8), fr.icmp("3:04")] == ["8", "8", "3:4"]
    assert [fr.protocol("tcp"), fr.protocol(17), fr.protocol("Any"), fr.protocol("ICMPv6")] == [6, 17, None, 58]
    for nonsense in ("256", "*", "8:256", "echo"):
        with pytest.raises(ValueError, match="ICMP"):
            fr.icmp(nonsense)
    for nonsense in ("256", "http"):
        with pytest.raises(ValueError, match="protocol"):
            fr.protocol(nonsense)


def test_any_among_others_is_any() -> None:
    assert fr.addresses(["10.0.0.1", "Any"]) == frozenset()
    assert fr.ports(["*"]) == frozenset()
    assert fr.addresses(["DNS4", "dns6", "WINS", "WINS4", "DHCP6"]) == {"DNS", "WINS", "DHCP6"}
    assert fr.ports([80, "81-81"]) == {"80", "81"}


def test_icmp_types_without_an_icmp_protocol_are_not_printed_as_nothing() -> None:
    with pytest.raises(ValueError, match="ICMP"):
        fr.render(fr.Rule(name="x", protocol=6, icmp=frozenset({"8"})))


def test_an_absent_profile_setting_means_its_default() -> None:
    assert fr.parse_profile({}) == fr.ProfileSettings()
    assert fr.parse_profile({"ENABLEFIREWALL": 0}).enabled is False


def test_profile_settings_are_read_by_meaning() -> None:
    values = {"DefaultInboundAction": 0, "DefaultOutboundAction": 1, "DoNotAllowExceptions": 1, "AllowLocalPolicyMerge": 0,
              "DisabledInterfaces": "{a},{b}", "DisableNotifications": 1}  # fmt: skip
    read = fr.parse_profile(values, {"LogFileSize": 4096, "LogDroppedPackets": 1})
    assert (read.inbound_action, read.outbound_action, read.shields_up) == ("Allow", "Block", True)
    assert (read.local_rules_merged, read.notifications, read.disabled_interfaces) == (False, False, {"{A}", "{B}"})
    assert (read.log_size_kb, read.log_dropped, read.log_allowed) == (4096, True, False)


def test_a_profile_setting_of_another_type_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="EnableFirewall"):
        fr.parse_profile({"EnableFirewall": "1"})


_TEXT = st.text(st.characters(exclude_characters="|\r\n", exclude_categories=("Cs",)), max_size=12)
_IPV4 = st.ip_addresses(v=4).map(str)
_ADDRESSES = st.one_of(
    _IPV4,
    st.ip_addresses(v=6).map(str),
    st.builds(lambda base, bits: f"{base}/{bits}", _IPV4, st.integers(0, 32)),
    st.builds(lambda base, bits: f"{base}/{bits}", st.ip_addresses(v=6), st.integers(0, 128)),
    st.sampled_from(["LocalSubnet", "DNS4", "Internet6", "Intranet", "DefaultGateway"]),
).map(fr.address)
_PORTS = st.one_of(
    st.integers(0, 65535), st.sampled_from(["RPC", "mDNS", "IPHTTPSIn", "IPHTTPSOut"]), st.just("5000-5020")
).map(fr.port)
_RULES = st.builds(
    fr.Rule,
    name=_TEXT,
    version=st.sampled_from(["v2.10", "v2.31"]),
    action=st.sampled_from(["Allow", "Block", "ByPass"]),
    active=st.booleans(),
    direction=st.sampled_from(["Inbound", "Outbound"]),
    profiles=st.frozensets(st.sampled_from(sorted(fr.ALL_PROFILES)), min_size=1),
    protocol=st.sampled_from([1, 58]),
    local_ports=st.frozensets(_PORTS, max_size=3),
    remote_ports=st.frozensets(_PORTS, max_size=3),
    icmp=st.frozensets(st.sampled_from(["8", "3:4", "128"])),
    local_addresses=st.frozensets(_ADDRESSES, max_size=3),
    remote_addresses=st.frozensets(_ADDRESSES, max_size=4),
    program=st.none() | _TEXT,
    service=st.none() | _TEXT,
    display_name=st.none() | _TEXT,
    description=st.none() | _TEXT,
    group=st.none() | _TEXT,
    edge=st.sampled_from(["Block", "Allow", "DeferToApp", "DeferToUser"]),
    interface_types=st.frozensets(st.sampled_from(["Wired", "Wireless", "RemoteAccess"])),
    interfaces=st.frozensets(st.uuids().map(lambda guid: f"{{{guid}}}".upper()), max_size=2),
)


def _one_word_for_both_families(rule: fr.Rule) -> bool:
    words = [*rule.local_addresses, *rule.remote_addresses]
    return not any(word + family in words for word in words for family in "46")


@settings(max_examples=100)
@given(_RULES.filter(_one_word_for_both_families))
def test_any_rule_survives_printing_and_reading(rule: fr.Rule) -> None:
    assert fr.parse(rule.name, fr.render(rule)) == rule


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["Action", "Active", "Edge", "Defer", "LPort", "RA4", "RA42", "ICMP4", "Protocol",
                                           "Profile", "Svc", "X", "lport2_10"]), _TEXT), min_size=1))  # fmt: skip
def test_any_line_is_readable_and_keeps_its_meaning(pairs: list[tuple[str, str]]) -> None:
    line = "|".join(["v2.31", *(f"{key}={value}" for key, value in pairs), ""])
    once = fr.parse("x", line)
    assert fr.parse("x", fr.render(once)) == once


def test_every_real_rule_is_read_and_printed_to_the_same_meaning() -> None:
    for path in shared("firewall/*.tsv"):
        for name, line in rows(path):
            rule = fr.parse(name, line)
            assert fr.parse(name, fr.render(rule)) == rule, line
            if not path.name.endswith("restricted-services.tsv"):
                assert sorted(fr.render(rule).split("|")) == sorted(_without_all_profiles(line).split("|"))


def _without_all_profiles(line: str) -> str:
    """Windows lists all three profiles in some rules; we leave them out. Everything else is printed element by element."""
    return line.replace("Profile=Domain|Profile=Private|Profile=Public|", "")


def _exports() -> list[dict[str, dict[str, object]]]:
    read = {".reg": read_reg, ".pol": read_pol}
    return [read[path.suffix](path) for path in shared("firewall/*.reg", "firewall/*.pol")]


def test_every_real_rule_of_policies_and_exports_is_read() -> None:
    lines = [
        (name, str(line))
        for export in _exports()
        for key, values in export.items()
        if key.lower().endswith("firewallrules")
        for name, line in values.items()
    ]
    assert len(lines) > 30
    for name, line in lines:
        rule = fr.parse(name, line)
        assert fr.parse(name, fr.render(rule)) == rule


def test_every_real_profile_is_read() -> None:
    keys = [values for export in _exports() for key, values in export.items() if key.lower().endswith("profile")]
    profiles = [fr.parse_profile(values) for values in keys]
    assert len(profiles) > 12
    assert all(profile.enabled for profile in profiles)
    assert {profile.local_rules_merged for profile in profiles} == {True, False}
