"""An inventory's directory, read whole: files, groups, variables, secrets and connections.

The only place of the package that reads the disk, but for the file that a secret comes from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from opdeploy.inventory.groups import ALL, PRIORITY, Layout, read_groups, variable_problems
from opdeploy.inventory.hosts import PRACTICE, Connection, Host, connection, host_problems, unreachable
from opdeploy.inventory.limits import selected
from opdeploy.inventory.problems import InventoryError, Position, Problem, merged, near, shown
from opdeploy.inventory.secrets import Resolver
from opdeploy.inventory.variables import effective
from opdeploy.inventory.vars_files import SUFFIXES, VarsFiles, find
from opdeploy.inventory.waivers import Waiver, read_waivers
from opdeploy.inventory.yaml_file import Node, parse
from opdeploy.results import Practice

HOSTS_FILE = "hosts.yml"
WAIVERS_FILE = "waivers.yml"
OTHER_NAMES = ("hosts.yaml", "hosts", "hosts.ini", "inventory", "inventory.yml", "inventory.ini")  # as Ansible takes them
GROUP_VARS = "group_vars"
HOST_VARS = "host_vars"
NAME_IT = "an inventory is a directory with a hosts.yml in it; name it with -i DIR"


@dataclass(frozen=True)
class Inventory:
    """A practice's hosts, in the order of hosts.yml.

    ``groups``: the names of all hosts below each group (``all`` too); ``sources``: SHA-256 (hex) over the path and
    content of every file read, but secrets' files and the waivers; ``problems``: what `load` would have raised.
    """

    path: Path
    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
    sources: str
    problems: tuple[Problem, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    @property
    def practice(self) -> Practice:
        named = self.hosts[0].variables.get(PRACTICE) if self.hosts else None
        return Practice(str(self.path.resolve()), named.value if named else "")

    @property
    def approvals(self) -> dict[str, int]:
        """How many it asks for, by host."""
        return {host.name: host.connection.approvals for host in self.hosts if host.connection.approvals}

    def refuse(self, more: Iterable[Problem] = ()) -> None:
        """Raises InventoryError with its own problems and further ones, if there are any."""
        if problems := merged(self.problems, more):
            raise InventoryError(problems)


def load(directory: Path | str, environ: Mapping[str, str] = os.environ) -> Inventory:
    """The inventory in a directory. Raises InventoryError with all of its problems."""
    inventory = read(directory, environ)
    inventory.refuse()
    return inventory


def read(directory: Path | str, environ: Mapping[str, str] = os.environ) -> Inventory:
    """As `load`, but problems that leave something to work with are kept in the inventory.

    So a caller who finds more (in the roles' settings) can show all at once, with `Inventory.refuse`.
    Raises InventoryError where a file is no YAML at all.
    """
    path = Path(directory)
    try:
        return _read(path, environ)
    except OSError as error:
        raise InventoryError([Problem(Position(shown(path)), "", f"cannot be read: {error.strerror}")]) from None


def _read(path: Path, environ: Mapping[str, str]) -> Inventory:
    files = _Files(path)
    document = files.hosts()
    group_files, host_files = files.folder(GROUP_VARS), files.folder(HOST_VARS)
    waived = files.waivers()
    if document is None or files.broken:
        raise InventoryError(files.problems)
    layout, problems = read_groups(document)
    known = not problems  # else its files would only repeat that a group or host was not understood
    problems += [*_stray(group_files, layout.groups, "group", known), *_stray(host_files, layout.hosts, "host", known)]
    variables = {name: effective(layout, name, group_files.variables, host_files.variables) for name in layout.hosts}
    resolver = Resolver(path, environ)
    hosts, unreached = _hosts(layout, variables, resolver, path)
    groups = _members(hosts, layout)
    waivers, wrong = read_waivers(waived, hosts, groups, date.today()) if waived and known else ((), [])
    found = merged([*files.problems, *problems, *resolver.problems], [*wrong, *unreached, *host_problems(hosts)])
    return Inventory(path, hosts, groups, files.digest(), found, waivers)


def select(inventory: Inventory, limits: Sequence[str]) -> tuple[Host, ...]:
    """The hosts that ``--limit`` leaves, all of them without one. Raises UsageError where a pattern matches nothing."""
    return selected(inventory.hosts, inventory.groups, limits) if limits else inventory.hosts


def _hosts(
    layout: Layout, variables: Mapping[str, dict[str, Node]], resolver: Resolver, path: Path
) -> tuple[tuple[Host, ...], list[Problem]]:
    hosts: list[Host] = []
    problems: list[Problem] = []
    for name, entry in layout.hosts.items():
        resolved = {key: resolver.resolved(node, key) for key, node in variables[name].items()}
        reached: Connection = unreachable(name)
        try:
            reached = connection(name, entry.at, resolved, path)
        except InventoryError as error:
            problems.extend(error.problems)
        hosts.append(Host(name, entry.at, layout.groups_of(name), resolved, reached))
    return tuple(hosts), problems


def _members(hosts: Sequence[Host], layout: Layout) -> dict[str, tuple[str, ...]]:
    return {group: tuple(host.name for host in hosts if group == ALL or group in host.groups) for group in layout.groups}


# ---------------------------------------------------------------- files


@dataclass(frozen=True)
class _Folder:
    """group_vars/ or host_vars/: what was found, and each name's variables."""

    found: VarsFiles
    variables: Mapping[str, dict[str, Node]]


class _Files:
    """Every file that was read, and what is wrong with any; ``broken`` when one could not be parsed at all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.broken = False
        self._contents: dict[str, bytes] = {}

    def hosts(self) -> Node | None:
        """The document of hosts.yml."""
        if not self.directory.is_dir():
            what = "a file, where an inventory is a folder" if self.directory.exists() else "no such folder"
            hint = f"say -i {shown(self.directory.parent)}" if self.directory.name == HOSTS_FILE else NAME_IT
            self._report(self.directory, what, hint)
            return None
        if not (self.directory / HOSTS_FILE).is_file():
            hint = next(_otherwise(self.directory), NAME_IT)
            self._report(self.directory, "no hosts.yml here", hint)
            return None
        self.problems.extend(_overlooked(self.directory))
        return self.parsed(self.directory / HOSTS_FILE)

    def folder(self, name: str) -> _Folder:
        folder = self.directory / name
        if folder.exists() and not folder.is_dir():
            self._report(folder, "expected a folder", f"with a file for each {name.removesuffix('_vars')}")
        found = find(folder)
        return _Folder(found, {name: self._variables(paths) for name, paths in found.names.items()})

    def _variables(self, paths: Iterable[Path]) -> dict[str, Node]:
        variables: dict[str, Node] = {}
        for path in paths:
            document = self.parsed(path)
            variables.update(document.mapping if document else {})
        self.problems.extend(variable_problems(variables))
        return variables

    def waivers(self) -> Node | None:
        """The document of waivers.yml, None where there is none."""
        path = self.directory / WAIVERS_FILE
        return self.parsed(path) if path.exists() else None

    def parsed(self, path: Path) -> Node | None:
        try:
            data = path.read_bytes()
        except OSError as error:
            self.broken = True
            self._report(path, f"cannot be read: {error.strerror}")
            return None
        self._contents[path.relative_to(self.directory).as_posix()] = data
        node, problems = parse(data, shown(path))
        self.problems.extend(problems)
        self.broken = self.broken or node is None
        return node

    def digest(self) -> str:
        """Of all that a desired state comes from: what is accepted is no part of what a host should be."""
        digest = hashlib.sha256()
        counting = {name: data for name, data in self._contents.items() if name != WAIVERS_FILE}
        for name, data in sorted(counting.items()):
            digest.update(f"{name}\0{len(data)}\0".encode(errors="surrogateescape") + data)
        return digest.hexdigest()

    def _report(self, path: Path, message: str, hint: str = "") -> None:
        self.problems.append(Problem(Position(shown(path)), "", message, hint))


def _otherwise(directory: Path) -> Iterator[str]:
    """What to do with the file that Ansible would have taken for hosts.yml."""
    for name in OTHER_NAMES:
        if (directory / name).is_file():
            is_yaml = name.endswith(("yml", "yaml"))
            yield f"rename {name} to hosts.yml" if is_yaml else f"write what {name} says as YAML, in hosts.yml"


def _overlooked(directory: Path) -> Iterator[Problem]:
    """What lies beside hosts.yml and looks as if somebody counted on it."""
    known = (HOSTS_FILE, GROUP_VARS, HOST_VARS, WAIVERS_FILE)
    for entry in sorted(directory.iterdir()):
        if entry.name in known or entry.name.startswith("."):
            continue
        similar = get_close_matches(entry.name, known, n=1, cutoff=0.8)
        if similar or entry.suffix in SUFFIXES[1:]:
            hint = f"did you mean {similar[0]}?" if similar else "hosts.yml, group_vars/, host_vars/ and waivers.yml are read"
            yield Problem(Position(shown(entry)), "", "nothing reads this", hint)


def _stray(folder: _Folder, names: Iterable[str], kind: str, known: bool) -> Iterator[Problem]:
    """Files for groups or hosts that there are not, if all are `known`, and files that another of the same name hides."""
    for name, entry in folder.found.entries.items():
        if known and name not in names:
            yield Problem(Position(shown(entry)), "", f"no such {kind}: {name}", near(name, names))
        priority = folder.variables[name].get(PRIORITY)
        if priority is not None:
            hint = "Ansible takes it from a group's vars: in hosts.yml only"
            yield Problem(priority.key_at, PRIORITY, "without effect here", hint)
    for entry, before in folder.found.shadowed:
        yield Problem(Position(shown(entry)), "", f"not read: {shown(before)} stands before it", "make them one file")
