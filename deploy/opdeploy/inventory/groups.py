"""``hosts.yml``: which hosts and groups there are, in Ansible's YAML form (``all``, ``children``, ``hosts``, ``vars``).

Stricter than Ansible where it would only warn or skip: an unknown section, a cycle, a host in no group, a name that is
both a host's and a group's, and names with unusual characters are problems. A group named in several places is one.
See https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from opdeploy.inventory.problems import Position, Problem, joined, near
from opdeploy.inventory.ranges import expand
from opdeploy.inventory.yaml_file import Node

ALL = "all"
PRIORITY = "ansible_group_priority"
_SECTIONS = ("children", "hosts", "vars")
_HOST = re.compile(r"\w([\w.-]*\w)?")
_GROUP = re.compile(r"[^\W\d][\w-]*")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass
class Group:
    name: str
    at: Position
    children: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    variables: dict[str, Node] = field(default_factory=dict)
    priority: int = 1


@dataclass
class HostEntry:
    name: str
    at: Position
    variables: dict[str, Node] = field(default_factory=dict)


@dataclass
class Layout:
    """What hosts.yml says: groups and hosts by name, in the order in which they are first named."""

    groups: dict[str, Group]
    hosts: dict[str, HostEntry]

    def parents(self, name: str) -> list[str]:
        """The groups directly above a group; ``all`` is above every group that no other holds."""
        named = [group.name for group in self.groups.values() if name in group.children]
        return named or ([] if name == ALL else [ALL])

    def ancestors(self, name: str) -> set[str]:
        above = set(self.parents(name))
        return above.union(*(self.ancestors(parent) for parent in above)) if above else above

    def depth(self, name: str) -> int:
        """How far below ``all``, by the longest way."""
        return max((self.depth(parent) + 1 for parent in self.parents(name)), default=0)

    def groups_of(self, host: str) -> tuple[str, ...]:
        """All groups that hold a host, but ``all``, lowest precedence first: by depth, priority, name."""
        direct = {group.name for group in self.groups.values() if host in group.hosts}
        every = direct.union(*(self.ancestors(name) for name in direct)) - {ALL}
        return tuple(sorted(every, key=lambda name: (self.depth(name), self.groups[name].priority, name)))


def read_groups(document: Node) -> tuple[Layout, list[Problem]]:
    """The layout in a parsed hosts.yml, and every problem of it."""
    reader = _Reader(document.at)
    for name, node in document.mapping.items():
        reader.group(name, node, name)
    if not document.mapping:
        reader.report(document.at, "", "no groups and no hosts here", "begin with all:, and children: below it")
    return reader.layout, [*reader.problems, *_misplaced(reader.layout)]


def variable_problems(variables: dict[str, Node], path: str = "") -> Iterator[Problem]:
    """Names that Ansible would not take for a variable's."""
    for name, node in variables.items():
        if not _VARIABLE.fullmatch(name):
            hint = "letters, digits and _ make a name, and it begins with no digit"
            yield Problem(node.key_at, joined(path, name), "no name for a variable", hint)


def _misplaced(layout: Layout) -> Iterator[Problem]:
    for host in layout.hosts.values():
        if host.name in layout.groups:
            yield Problem(host.at, host.name, "a host and a group of the same name", "rename one of them")
        elif not set(layout.groups_of(host.name)) - {"ungrouped"}:
            yield Problem(host.at, host.name, "a host in no group", "name it under a group's hosts: too")


class _Reader:
    def __init__(self, at: Position) -> None:
        self.layout = Layout({ALL: Group(ALL, at)}, {})
        self.problems: list[Problem] = []

    def report(self, at: Position, path: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(at, path, message, hint))

    def group(self, name: str, node: Node, path: str) -> None:
        if not _GROUP.fullmatch(name):
            hint = "letters, digits, _ and - make a name, and it begins with no digit"
            self.report(node.key_at, path, "no name for a group", hint)
        group = self.layout.groups.setdefault(name, Group(name, node.key_at))
        for section, content in self._mapping(node, path).items():
            if section not in _SECTIONS:
                hint = near(section, _SECTIONS) or "a group has children, hosts and vars"
                self.report(content.key_at, joined(path, section), "no such section of a group", hint)
        self._variables(group, node, path)
        self._children(group, node, path)
        self._hosts(group, node, path)

    def _children(self, group: Group, node: Node, path: str) -> None:
        for name, child, child_path in self._section(node, "children", path):
            self.group(name, child, child_path)
            if name == group.name or name == ALL or name in self.layout.ancestors(group.name):
                self.report(child.key_at, child_path, f"a cycle: {group.name} is itself below {name}")
            elif name not in group.children:
                group.children.append(name)

    def _hosts(self, group: Group, node: Node, path: str) -> None:
        for pattern, settings, host_path in self._section(node, "hosts", path):
            variables = self._mapping(settings, host_path)
            self.problems.extend(variable_problems(dict(variables), host_path))
            for name in self._names(pattern, settings, host_path):
                host = self.layout.hosts.setdefault(name, HostEntry(name, settings.key_at))
                host.variables.update(variables)
                if name not in group.hosts:
                    group.hosts.append(name)

    def _names(self, pattern: str, node: Node, path: str) -> Iterable[str]:
        try:
            names = expand(pattern)
        except ValueError as error:
            self.report(node.key_at, path, str(error))
            return []
        if wrong := [name for name in names if not _HOST.fullmatch(name)]:
            hint = "a port goes into ansible_port, an address into ansible_host"
            self.report(node.key_at, path, f"{wrong[0]} is no name for a host", hint)
            return []
        return names

    def _variables(self, group: Group, node: Node, path: str) -> None:
        content = node.mapping.get("vars")
        if content is None:
            return
        path = joined(path, "vars")
        variables = dict(self._mapping(content, path))
        priority = variables.pop(PRIORITY, None)
        if priority is not None and type(priority.value) is int:
            group.priority = priority.value
        elif priority is not None:
            self.report(priority.key_at, joined(path, PRIORITY), "expected a whole number")
        self.problems.extend(variable_problems(variables, path))
        group.variables.update(variables)

    def _section(self, node: Node, section: str, path: str) -> Iterator[tuple[str, Node, str]]:
        """A section's entries with their paths; a single name may stand there alone, as Ansible allows."""
        content = node.mapping.get(section)
        if content is None:
            return
        path = joined(path, section)
        if isinstance(content.value, str):
            yield content.value, Node(None, content.at, content.at), joined(path, content.value)
            return
        for name, child in self._mapping(content, path).items():
            yield name, child, joined(path, name)

    def _mapping(self, node: Node, path: str) -> dict[str, Node]:
        if node.value is not None and not isinstance(node.value, dict):
            hint = "write each name as a key of its own, with a colon: 'NAME:'"
            self.report(node.key_at, path, "expected keys and values", hint)
        return dict(node.mapping)
