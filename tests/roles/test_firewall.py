"""Firewall rules: one group, enabled, and inbound from somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from labs import box
from roles_at_hand import refused, shipped
from roles_on_lab import applied, converges, job, open_items, planned

from opdeploy.model import ExitCode

RULE = "direction: inbound, action: allow, protocol: TCP, local_ports: [3050]"


def test_a_rule_belongs_to_the_group_and_is_enabled(tmp_path: Path) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE}, remote_addresses: [10.20.0.0/24]}}}}}}"
    assert shipped(tmp_path, given) == (
        "firewall_rule OP-In  [firewall]\n"
        "    display_name OP-In\n"
        "    group OP\n"
        "    direction inbound\n"
        "    action allow\n"
        "    enabled yes\n"
        "    protocol TCP\n"
        "    local_ports 3050\n"
        "    remote_addresses 10.20.0.0/24\n"
        "scope firewall_rule group OP reported only  [firewall]\n"
    )


def test_without_rules_of_its_own_it_looks_through_the_group(tmp_path: Path) -> None:
    assert shipped(tmp_path, "firewall:") == "scope firewall_rule group OP reported only  [firewall]\n"


def test_a_rule_of_the_group_that_no_role_names_is_reported_and_with_exact_removed(tmp_path: Path) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE}, remote_addresses: [10.20.0.0/24]}}}}}}"
    with box() as server:
        assert applied(tmp_path, job(tmp_path, server, given)).code == ExitCode.OK
        reported = open_items(planned(tmp_path, job(tmp_path, server, "firewall:")))
        removed = open_items(planned(tmp_path, job(tmp_path, server, "firewall: { exact: true }")))
    assert [(item.id, item.change.action) for item in reported] == [("firewall_rule/OP-In", "none")]
    assert reported[0].change.reason == "not in the inventory: only reported, since group OP is not exact"
    assert [(item.id, item.change.action) for item in removed] == [("firewall_rule/OP-In", "remove")]


def test_the_group_of_other_roles_is_looked_through_whatever_its_own_is_called(tmp_path: Path) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE}, remote_addresses: [10.20.0.0/24]}}}}}}"
    with box() as server:
        applied(tmp_path, job(tmp_path, server, given))
        told = open_items(planned(tmp_path, job(tmp_path, server, "firewall: { group: Practice, exact: true }")))
    assert [(item.id, item.change.action) for item in told] == [("firewall_rule/OP-In", "remove")]


def test_applied_twice_it_changes_nothing_the_second_time(tmp_path: Path) -> None:
    given = f"firewall: {{exact: true, rules: {{OP-In: {{{RULE}, remote_addresses: [10.20.0.0/24]}}}}}}"
    with box() as server:
        converges(tmp_path, server, job(tmp_path, server, given))


def test_a_rule_keeps_what_it_says(tmp_path: Path) -> None:
    given = """
        firewall:
          group: Practice
          exact: true
          rules:
            A: { direction: outbound, action: block, enabled: false, display_name: No mail, protocol: TCP, remote_ports: 25 }
            B: { absent: true }
    """
    assert shipped(tmp_path, given) == (
        "firewall_rule A  [firewall]\n"
        "    display_name No mail\n"
        "    group Practice\n"
        "    direction outbound\n"
        "    action block\n"
        "    enabled no\n"
        "    protocol TCP\n"
        "    remote_ports 25\n"
        "firewall_rule B  [firewall]\n"
        "    absent yes\n"
        "scope firewall_rule group Practice  [firewall]\n"
        "scope firewall_rule group OP  [firewall]\n"
    )


def test_any_needs_a_reason(tmp_path: Path) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE}, remote_addresses: Any, reason: nothing secret there}}}}}}"
    assert "    remote_addresses Any\n" in shipped(tmp_path, given)
    assert refused(tmp_path, given.replace("nothing secret there", "' '")) == (
        "firewall.rules.OP-In: remote_addresses Any lets everybody in: name the practice's network, or say why (reason: …)"
    )


def test_the_reason_stands_in_every_plan(tmp_path: Path) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE}, remote_addresses: Any, reason: nothing secret there}}}}}}"
    with box() as server:
        wanted = job(tmp_path, server, given)
        for _ in range(2):
            (item,) = planned(tmp_path, wanted).items
            assert item.change.reason == "open to any address, because: nothing secret there"
            applied(tmp_path, wanted)


@pytest.mark.parametrize("left_out", ["direction: inbound, ", "action: allow, ", "direction: inbound, action: allow, "])
def test_so_it_does_where_the_rule_on_the_host_says_inbound_and_allow(tmp_path: Path, left_out: str) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE.replace(left_out, '')}, remote_addresses: Any}}}}}}"
    assert "remote_addresses Any lets everybody in" in refused(tmp_path, given)


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "'::/0'", "0.0.0.0-255.255.255.255", "128.0.0.0/1", "Internet"])
def test_so_does_what_comes_to_the_same(tmp_path: Path, everybody: str) -> None:
    given = f"firewall: {{rules: {{OP-In: {{{RULE}, remote_addresses: [10.20.0.0/24, {everybody}]}}}}}}"
    assert f"remote_addresses {everybody.strip(chr(39))} lets everybody in" in refused(tmp_path, given)


def test_what_a_rule_can_not_be(tmp_path: Path) -> None:
    given = f"""
        firewall:
          rules:
            nowhere: {{ {RULE} }}
            group: {{ {RULE}, remote_addresses: [10.20.0.0/24], group: Other }}
            open: {{ direction: inbound, action: allow, remote_addresses: [10.20.0.0/24] }}
            wrong: {{ {RULE}, remote_adresses: [10.20.0.0/24] }}
    """
    assert refused(tmp_path, given).splitlines() == [
        "firewall.rules.nowhere: an inbound allow rule names its remote_addresses: "
        "the practice's network, such as 10.20.0.0/24",
        "firewall.rules.group: the group stands once, for all rules; take it out of the rule",
        "firewall.rules.open: refused: it lets everything in; name local_ports (icmp_types for ICMP), program or service",
        "firewall.rules.wrong.remote_adresses: no such setting (did you mean remote_addresses?)",
    ]
