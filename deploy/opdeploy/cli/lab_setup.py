"""From an inventory to what the lab is to serve: its secrets are made up, its hosts read, its servers chosen by group.

An inventory for the lab names files below ``.lab/`` for its passwords and for the authority that its hosts' certificates
come from; ``lab up`` makes them and ``lab down`` takes them away.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from opdeploy.inventory import Host, load
from opdeploy.lab import folder
from opdeploy.lab.certificates import open_certificates
from opdeploy.lab.setup import Kind, Setup, Simulated
from opdeploy.lab.windows.servers import agent_link
from opdeploy.model import UsageError

FOLDER = ".lab"
AGENT_LINK = "agent-link-"
KEPT_SECRETS = "secrets"  # in a state's folder: accounts in it have these passwords
KINDS: dict[str, Kind] = {
    "database_servers": "database_server",
    "backup_stations": "backup_station",
    "terminal_servers": "terminal_server",
}


def prepared(inventory: Path, state: Path | None, latency: float, powershell_start: float, watched: int) -> Setup:
    """Makes secrets and certificates in the lab's folder, which is claimed already, and reads the inventory with them.

    Raises InventoryError, and UsageError for a host that the lab can't be.
    """
    made = inventory / FOLDER
    for name in sorted(set(_secret_files(inventory))):
        folder.write_private(made / name, _secret(name, state) + "\n")
    open_certificates(made)
    hosts = tuple(_simulated(host) for host in load(inventory).hosts)
    kept = str(state.absolute()) if state else ""
    return Setup(str(made.absolute()), hosts, kept, latency, powershell_start, watched)


def _secret_files(inventory: Path) -> Iterator[str]:
    """The names of all files that secrets are taken from, as far as they lie in the lab's folder."""
    for path in sorted([inventory / "hosts.yml", *inventory.glob("*_vars/**/*.y*ml")]):
        try:
            document = yaml.safe_load(path.read_bytes())
        except (OSError, yaml.YAMLError):
            continue  # whoever reads the inventory next says what is wrong, and where
        for found in _named_files(document):
            above, _, name = found.rpartition("/")
            if above == FOLDER and name:
                yield name


def _named_files(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("from_file"), str):
            yield value["from_file"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _named_files(item)


def _secret(name: str, state: Path | None) -> str:
    """A new password, or with a state that is kept the one that its accounts have; for `agent-link-HOST` that host's link."""
    if name.startswith(AGENT_LINK):
        return agent_link(name.removeprefix(AGENT_LINK))
    kept = state / KEPT_SECRETS / name if state else None
    if kept and kept.exists():
        return kept.read_text(encoding="utf-8").strip()
    password = secrets.token_urlsafe(18) + "-Aa1"  # whatever a password policy asks for
    if kept:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.write_private(kept, password + "\n")
    return password


def _simulated(host: Host) -> Simulated:
    kind = next((KINDS[group] for group in reversed(host.groups) if group in KINDS), None)
    if kind is None:
        raise UsageError(f"{host.name}: the lab does not know which server this is", f"put it in one of: {', '.join(KINDS)}")
    reached = host.connection
    if not _is_loopback(reached.address):
        raise UsageError(f"{host.name} is at {reached.address}: the lab serves this machine alone", "ansible_host: 127.0.0.1")
    if not reached.user or not reached.password:
        raise UsageError(f"{host.name}: the lab needs a user with a password", "set ansible_user and ansible_password")
    user = reached.user.rpartition("\\")[2]
    return Simulated(host.name, kind, reached.address, reached.port, reached.scheme == "https", user, reached.password.reveal())


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
