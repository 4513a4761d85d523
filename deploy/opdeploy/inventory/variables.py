"""Ansible's precedence: which of several values of a variable a host has.

From weak to strong: ``all`` in hosts.yml, the other groups there, ``group_vars/all``, the other groups'
``group_vars/``, the host in hosts.yml, its ``host_vars/``. Groups go from shallow to deep, then by
``ansible_group_priority``, then by name. A value of a stronger place replaces the weaker one whole, mappings too
(Ansible's default, hash_behaviour=replace).
"""

from __future__ import annotations

from collections.abc import Mapping

from opdeploy.inventory.groups import ALL, Layout
from opdeploy.inventory.yaml_file import Node

Variables = Mapping[str, Node]


def effective(
    layout: Layout, host: str, group_files: Mapping[str, Variables], host_files: Mapping[str, Variables]
) -> dict[str, Node]:
    """A host's variables, given those of the files of each group and each host by name."""
    groups = layout.groups_of(host)
    places: list[Variables] = [
        *(layout.groups[name].variables for name in (ALL, *groups)),
        *(group_files.get(name, {}) for name in (ALL, *groups)),
        layout.hosts[host].variables,
        host_files.get(host, {}),
    ]
    return {name: node for place in places for name, node in place.items()}
