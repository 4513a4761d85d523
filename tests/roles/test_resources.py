"""The role `resources`: any kind, written straight into the inventory; what is wrong in it is told where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_practice import copied

from opdeploy import roles
from opdeploy.inventory import InventoryError, load

AT = "host_vars/ts1.yml"
OPEN = "resources:\n  firewall_rule: [{{name: X, direction: inbound, action: allow, protocol: TCP, local_ports: 445{0}}}]\n"


def resources(tmp_path: Path, text: str) -> list[str]:
    folder = copied(tmp_path / "lab")
    groups = folder / "group_vars/terminal_servers.yml"
    head, _, _ = groups.read_text(encoding="utf-8").partition("\nresources:\n")
    groups.write_text(head, encoding="utf-8")
    own = folder / AT
    own.write_text(own.read_text(encoding="utf-8") + text, encoding="utf-8")
    inventory = load(folder)
    desired = {host.name: found for host, found in roles.compile(inventory, inventory.hosts, roles.find())}["ts1"]
    return [m.resource.address for m in desired.resources if m.roles == ("resources",)]


def test_any_kind_can_stand_in_it(tmp_path: Path) -> None:
    text = """
resources:
  event_log: [{ log: Application, size: 64MB }]
  reachable:
    - { name: updates.example, port: 443, tls: true }
"""
    assert resources(tmp_path, text) == ["event_log/Application", "reachable/updates.example:443"]


def test_a_rule_from_a_network_can_stand_in_it(tmp_path: Path) -> None:
    assert resources(tmp_path, OPEN.format(", remote_addresses: [10.20.0.0/24]")) == ["firewall_rule/X"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resources:\n  event_logs: []\n", "resources.event_logs: no such setting\n    did you mean event_log"),
        (
            "resources:\n  reachable:\n    - { name: x, prt: 1 }\n",
            "resources.reachable[0].prt: no such setting\n    did you mean port?",
        ),
        ("resources:\n  reachable: { name: x }\n", "resources.reachable: expected a list"),
        (OPEN.format(""), "resources: firewall_rule X lets everybody in: write it under firewall: rules:, with its reason"),
        (OPEN.format(", remote_addresses: [0.0.0.0/0]"), "resources: firewall_rule X lets everybody in"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InventoryError) as refused:
        resources(tmp_path, text)
    assert AT in str(refused.value)
    assert message in str(refused.value)
