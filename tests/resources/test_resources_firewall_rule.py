"""Firewall rules: what the cmdlets are told reads back in sync from what Windows stores, whatever was there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_host import apply, lab_state, planned
from pydantic import ValidationError

from opdeploy.formats import firewall_rules
from opdeploy.model import Change
from opdeploy.resources.base import Answers
from opdeploy.resources.firewall_rule import FirewallRule, observed_properties, shared_reads

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C",), exclude_characters="|\u2028\u2029"), max_size=20)
PORT = st.integers(0, 65535).map(str)
PORTS = st.lists(
    PORT | st.tuples(st.integers(0, 30000), st.integers(30001, 65535)).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    min_size=1, max_size=4,
) | st.just(["any"])  # fmt: skip
IPV4 = st.ip_addresses(v=4).map(str)
ADDRESS = st.one_of(
    IPV4,
    st.ip_addresses(v=6).map(str),
    st.tuples(IPV4, st.integers(1, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers(1, 128)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.integers(1, 99), st.integers(100, 254)).map(lambda ends: f"10.20.0.{ends[0]}-10.20.0.{ends[1]}"),
)
KEYWORD = st.sampled_from(["LocalSubnet", "dns", "DHCP", "wins", "defaultgateway", "Intranet", "internet", "PlayToDevice"])
# Never both of them any: such a rule may carry the session, and then the guard has a say.
PROGRAM = st.sampled_from(["System", "Any", r"C:\Firebird\bin\fbserver.exe", r"%ProgramFiles%\OP (x86)\größe's.exe"])
SERVICE = st.sampled_from(["termservice", "FirebirdServerDefaultInstance", "RpcSs", "Any"])
WHO = st.tuples(PROGRAM, SERVICE).filter(lambda who: who[1] != "Any" or who[0] not in ("System", "Any"))
WIRES = st.lists(st.sampled_from(["wired", "wireless", "remote_access", "any"]), min_size=1, max_size=3)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A whole rule that Windows would take, as an inventory has it."""
    direction = draw(st.sampled_from(["inbound", "outbound"]))
    protocol = draw(st.sampled_from(["tcp", "UDP", "ICMPv4", "icmpv6", "any", 47]))
    numbers: dict[str, Any] = {"local_ports": "any", "remote_ports": "any", "icmp_types": "any"}
    if protocol in ("tcp", "UDP"):
        numbers |= {"local_ports": draw(PORTS), "remote_ports": draw(PORTS)}
    if str(protocol).startswith(("ICMP", "icmp")):
        numbers |= {"icmp_types": draw(st.lists(st.sampled_from([0, 8, "3:4", "13:*"]), min_size=1, max_size=3))}
    program, service = draw(WHO)
    return {
        "display_name": draw(TEXT.filter(lambda text: text.strip() and text.lower() != "all")),
        "description": draw(TEXT),
        "group": draw(st.sampled_from(["", "OP", "@FirewallAPI.dll,-28752"])),
        "direction": direction,
        "action": draw(st.sampled_from(["allow", "block"])),
        "enabled": draw(st.booleans()),
        "profiles": draw(st.lists(st.sampled_from(["domain", "private", "public"]), min_size=1, max_size=3)),
        "protocol": protocol,
        **numbers,
        "local_addresses": draw(st.lists(ADDRESS, min_size=1, max_size=3) | st.just(["Any"])),
        "remote_addresses": draw(st.lists(ADDRESS | KEYWORD, min_size=1, max_size=4) | st.just(["Any"])),
        "program": program,
        "service": service,
        "interface_types": draw(WIRES),
        "edge_traversal": draw(st.sampled_from(["block", "allow", "DeferToApp", "DeferToUser"]))
        if direction == "inbound"
        else "block",
    }


def rule(properties: dict[str, Any]) -> FirewallRule:
    return FirewallRule.model_validate({"name": "OP-Test", **properties})


@quick
@given(rules(), rules())
def test_what_is_applied_reads_back_in_sync(first: dict[str, Any], second: dict[str, Any]) -> None:
    state = lab_state()
    for desired in (rule(first), rule(second)):
        change, world = planned(state, desired)
        assert change.action in ("create", "update", "replace") or change.verdict == "in_sync", change.reason
        apply(state, change, world)
        again, _ = planned(state, desired)
        assert (again.verdict, again.properties) == ("in_sync", {})


@quick
@given(rules(), rules(), st.data())
def test_a_change_of_a_part_leaves_the_rest(first: dict[str, Any], second: dict[str, Any], data: st.DataObject) -> None:
    """Also through a replace: what is not named is as it was."""
    state = lab_state()
    made, world = planned(state, rule(first))
    apply(state, made, world)
    before = planned(state, rule(first))[0].actual
    named = data.draw(st.lists(st.sampled_from(sorted(second)), min_size=1, max_size=3, unique=True))
    try:
        desired = rule({name: second[name] for name in named})
    except ValidationError:
        return
    change, world = planned(state, desired)
    if change.action != "none":
        apply(state, change, world)
    after = planned(state, rule(first))[0].actual
    kept = [name for name in first if name not in named or change.action == "none"]
    assert {name: getattr(after, name) for name in kept} == {name: getattr(before, name) for name in kept}


@quick
@given(rules())
def test_an_update_gives_only_what_differs(properties: dict[str, Any]) -> None:
    state = lab_state()
    change, world = planned(state, rule(properties))
    apply(state, change, world)
    change, world = planned(state, rule(properties | {"enabled": not properties["enabled"]}))
    (write,) = apply(state, change, world)
    assert set(write.args["parameters"]) == {"Name", "Enabled"}


@quick
@given(rules())
def test_what_is_observed_is_a_model_of_its_own_kind(properties: dict[str, Any]) -> None:
    desired = rule(properties)
    again = FirewallRule.model_validate(desired.model_dump())
    assert again == desired


def test_a_believable_rule_that_nobody_may_ask_for_can_be_read() -> None:
    """An allow-all that somebody made is seen, told and can be removed or disabled."""
    line = "v2.31|Action=Allow|Active=TRUE|Dir=In|Name=everything|RA4=Elsewhere|LPort2_99=Later|"
    observed = observed_properties(firewall_rules.parse("x", line))
    assert observed["remote_addresses"] == ("RA4=Elsewhere",)
    assert observed["local_ports"] == ("LPort2_99=Later",)


GROUP = {
    "OP-A": ["String", "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=1|Name=a|EmbedCtxt=OP|"],
    "OP-B": ["String", "v2.31|Action=Allow|Active=TRUE|Dir=In|Name=b|EmbedCtxt=OP Backup|"],
    "Odd [x]": ["String", "later|EmbedCtxt=OP|Zukunft"],
    "Own": ["String", "v2.31|Action=Allow|Active=TRUE|Dir=In|Name=EmbedCtxt=OP|"],
}


def test_a_group_is_found_whole_and_alone() -> None:
    reads = shared_reads()
    answers = Answers(reads, {reads["rules"].key: {"values": GROUP}})
    found = list(FirewallRule.found("OP", answers))
    assert [extra.name for extra in found] == ["OP-A", "Odd [x]"]
    assert all(extra.absent for extra in found)


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_all_rules_share_their_reads(name: str) -> None:
    assert FirewallRule(name=name).reads() == FirewallRule.scope_reads("OP") == shared_reads()


def test_the_outcome_of_a_new_rule_is_what_the_cmdlet_makes() -> None:
    desired = FirewallRule(name="x", direction="inbound", action="allow", protocol="TCP", local_ports=["80"])  # type: ignore[arg-type]
    outcome = desired.outcome(Change(desired, None, "would_change", "create"))
    assert (outcome.enabled, outcome.remote_addresses, outcome.local_ports) == (True, ("Any",), ("80",))
