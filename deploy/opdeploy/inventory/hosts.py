"""A host of the inventory, and how it is reached: Ansible's connection variables, of which we take the winrm ones.

As in Ansible: the scheme is http where the port is 5985, else https. Otherwise than in Ansible: with http the port is
5985; the connection is winrm and the transport ntlm unless another is named (Ansible's default over http is basic in
plain text, which is refused here); a password is a secret mapping. See the vars of ansible/plugins/connection/winrm.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from opdeploy.inventory.problems import InventoryError, Position, Problem, near
from opdeploy.inventory.secrets import FORMS
from opdeploy.inventory.validate import validated
from opdeploy.inventory.yaml_file import Node, mapping_node
from opdeploy.model import Secret
from opdeploy.reboots import Policy

Transport = Literal["ntlm", "kerberos", "certificate", "basic"]
PREFIXES = ("ansible_", "opdeploy_")
PRACTICE = "opdeploy_practice"
_NEVER_ADDRESS = re.compile(r"[\s/\\@\[\]?#]|^$")


@dataclass(frozen=True)
class Connection:
    """How a host is reached over WS-Man, and on what terms: restarts, approvals. Paths are absolute, '' for none; seconds."""

    address: str
    port: int = 5986
    scheme: Literal["http", "https"] = "https"
    transport: Transport = "ntlm"
    user: str = ""
    password: Secret | None = None
    server_cert_validation: Literal["validate", "ignore"] = "validate"
    ca_trust_path: str = ""
    cert_pem: str = ""
    cert_key_pem: str = ""
    operation_timeout: int = 20
    read_timeout: int = 30
    reboot: Policy = "never"
    approvals: int = 0  # that a plan with a change of this host needs at least


@dataclass(frozen=True)
class Host:
    """A host as the inventory has it.

    ``variables`` are the effective ones, secrets resolved; ``groups`` all that hold it but ``all``, weakest first.
    """

    name: str
    at: Position
    groups: tuple[str, ...]
    variables: Mapping[str, Node]
    connection: Connection = field(repr=False)


def _address(value: str) -> str:
    if _NEVER_ADDRESS.search(value) or (":" in value and not _is_ipv6(value)):
        raise ValueError("expected a name or an IP address, without port or scheme")
    return value


def _is_ipv6(value: str) -> bool:
    try:
        return IPv6Address(value).version == 6
    except ValueError:
        return False


def _practice(value: str) -> str:
    if not value.isprintable() or value != value.strip() or not value or "/" in value:
        raise ValueError("expected a name: a line of text without /")
    return value


def _only(value: object) -> object:
    """Ansible takes a transport or a list of them; of one, it is the same."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ansible_host: Annotated[str, AfterValidator(_address)] | None = None
    ansible_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    ansible_user: str = ""
    ansible_password: Secret | None = None
    ansible_connection: Literal["winrm"] = "winrm"
    ansible_winrm_scheme: Literal["http", "https"] | None = None
    ansible_winrm_transport: Annotated[Transport, BeforeValidator(_only)] = "ntlm"
    ansible_winrm_server_cert_validation: Literal["validate", "ignore"] = "validate"
    ansible_winrm_ca_trust_path: str = ""
    ansible_winrm_cert_pem: str = ""
    ansible_winrm_cert_key_pem: str = ""
    ansible_winrm_operation_timeout_sec: Annotated[int, Field(ge=1, le=3600)] | None = None
    ansible_winrm_read_timeout_sec: Annotated[int, Field(ge=2, le=3700)] | None = None
    opdeploy_reboot: Policy = "never"
    opdeploy_approvals: Annotated[int, Field(ge=0, le=100)] = 0
    opdeploy_practice: Annotated[str, AfterValidator(_practice)] = ""


_PATHS = ("ansible_winrm_ca_trust_path", "ansible_winrm_cert_pem", "ansible_winrm_cert_key_pem")
CONNECTION_NAMES = frozenset(_Settings.model_fields)


def connection(name: str, at: Position, variables: Mapping[str, Node], directory: Path) -> Connection:
    """The connection that ``ansible_*`` and ``opdeploy_*`` variables describe. Raises InventoryError with every problem."""
    node = mapping_node({key: value for key, value in variables.items() if key.startswith(PREFIXES)}, at)
    settings = validated(_Settings, node, "")
    made = _connection(name, settings, directory)
    if problems := list(_contradictions(name, made, settings, node)):
        raise InventoryError(problems)
    return made


def _connection(name: str, settings: _Settings, directory: Path) -> Connection:
    scheme = settings.ansible_winrm_scheme or ("http" if settings.ansible_port == 5985 else "https")
    ca_trust_path, cert_pem, cert_key_pem = (_absolute(getattr(settings, key), directory) for key in _PATHS)
    operation = settings.ansible_winrm_operation_timeout_sec or 20
    return Connection(
        address=settings.ansible_host or name,
        port=settings.ansible_port or (5985 if scheme == "http" else 5986),
        scheme=scheme,
        transport=settings.ansible_winrm_transport,
        user=settings.ansible_user,
        password=settings.ansible_password,
        server_cert_validation=settings.ansible_winrm_server_cert_validation,
        ca_trust_path=ca_trust_path,
        cert_pem=cert_pem,
        cert_key_pem=cert_key_pem,
        operation_timeout=operation,
        read_timeout=settings.ansible_winrm_read_timeout_sec or operation + 10,
        reboot=settings.opdeploy_reboot,
        approvals=settings.opdeploy_approvals,
    )


def _absolute(path: str, directory: Path) -> str:
    return str((directory / path).absolute()) if path else ""


def _contradictions(name: str, made: Connection, settings: _Settings, node: Node) -> Iterator[Problem]:
    """What no host is needed for to see that it cannot work."""
    for key, message, hint in (*_missing(name, made), *_unfit(made, settings)):
        at = node.mapping[key].key_at if key in node.mapping else node.at
        yield Problem(at, key, message, hint)


def _missing(name: str, made: Connection) -> Iterator[tuple[str, str, str]]:
    how = f"missing: {name} is logged into with {made.transport}"
    needed = {
        "ansible_user": (made.user, ("ntlm", "basic"), "write ansible_user: NAME, here or for a group"),
        "ansible_password": (made.password, ("ntlm", "basic"), f"write ansible_password: {FORMS}, here or for a group"),
        "ansible_winrm_cert_pem": (made.cert_pem, ("certificate",), "name the certificate's file, in PEM form"),
        "ansible_winrm_cert_key_pem": (made.cert_key_pem, ("certificate",), "name the key's file, in PEM form"),
    }
    for key, (value, transports, hint) in needed.items():
        if made.transport in transports and not value:
            yield key, how, hint


def _unfit(made: Connection, settings: _Settings) -> Iterator[tuple[str, str, str]]:
    if made.scheme == "http" and made.transport in ("basic", "certificate"):
        yield "ansible_winrm_transport", f"{made.transport} needs https", "use ntlm or kerberos, or https (port 5986)"
    if made.read_timeout <= made.operation_timeout:
        message = f"expected more than the operation time-out, which is {made.operation_timeout}"
        yield "ansible_winrm_read_timeout_sec", message, ""
    for key in _PATHS:
        path = getattr(made, key.removeprefix("ansible_winrm_"))
        if path and not _exists(path):
            hint = "a relative path begins at the inventory's directory"
            yield key, f"no such file: {getattr(settings, key)}", hint


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def host_problems(hosts: Sequence[Host]) -> Iterator[Problem]:
    """What only several hosts together show."""
    yield from _practice_problems(hosts)
    yield from _address_problems(hosts)


def _practice_problems(hosts: Iterable[Host]) -> Iterator[Problem]:
    """An inventory is one practice: by its name the run store tells hosts from another's of the same name."""
    named = [(host, host.variables.get(PRACTICE)) for host in hosts]
    first = next(((host.name, node.value) for host, node in named if node), None)
    for host, node in named:
        if first and (node is None or node.value != first[1]):
            told = f"{host.name} is of {node.value}" if node else f"{host.name} has none"
            at = node.key_at if node else host.at
            yield Problem(at, PRACTICE, f"{told}, {first[0]} is of {first[1]}", "write it once: all hosts are of one practice")


def _address_problems(hosts: Iterable[Host]) -> Iterator[Problem]:
    """Two hosts at one address are one server, which would be given the roles of both: a line that was copied."""
    first: dict[tuple[str, int], Host] = {}
    for host in hosts:
        made = host.connection
        other = first.setdefault((made.address.lower(), made.port), host)
        if other is not host:
            node = host.variables.get("ansible_host") or host.variables.get("ansible_port")
            told = f"{host.name} is at {made.address}:{made.port}, and so is {other.name}"
            hint = "give each its own ansible_host, or its own ansible_port"
            yield Problem(node.key_at if node else host.at, "ansible_host", told, hint)


def unreachable(name: str) -> Connection:
    """What stands in for a connection that could not be made out; the inventory that has it has problems too."""
    return Connection(address=name)


def unclaimed(host: Host, claimed: Iterable[str]) -> list[Problem]:
    """Variables that no role and no connection takes: misspelt, most likely."""
    names = set(claimed)
    return [
        Problem(node.key_at, name, "no such variable: no role has this name", near(name, names | CONNECTION_NAMES))
        for name, node in host.variables.items()
        if name not in names and not name.startswith(PREFIXES)
    ]


def role_settings(host: Host, roles: Iterable[str]) -> tuple[dict[str, Node], list[Problem]]:
    """The roles that a host has, in the order given, each with its settings; and what stands there but is none."""
    named = {role: host.variables[role] for role in roles if role in host.variables}
    wrong = {role for role, node in named.items() if node.value is not None and not isinstance(node.value, dict)}
    problems = [
        Problem(named[role].key_at, role, "expected the role's settings (keys and values) or nothing after the colon")
        for role in sorted(wrong)
    ]
    return {role: node for role, node in named.items() if role not in wrong}, problems
