"""The lab's practice in process: what each of its hosts should be, and the servers to hold it against."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from opdeploy import roles
from opdeploy.calls import Call, Write
from opdeploy.inventory import load
from opdeploy.lab.windows import servers
from opdeploy.model import Secret
from opdeploy.planning import Desired
from opdeploy.windows.wire import JOB

PROJECT = Path(__file__).parents[2]
HOSTS = ("db1", "backup1", "ts1")
PASSWORDS = (
    "installer-password", "interface-password", "nexhealth-password", "sysdba-password-db1", "sysdba-password-backup1",
    *(f"support-password-{host}" for host in HOSTS),
)  # fmt: skip


def copied(folder: Path, passwords: Mapping[str, str] | None = None) -> Path:
    """inventories/lab, with passwords of its own where none are given."""
    shutil.copytree(PROJECT / "inventories" / "lab", folder, ignore=shutil.ignore_patterns(".lab"))
    (folder / ".lab").mkdir()
    for name in PASSWORDS:
        (folder / ".lab" / name).write_text((passwords or {}).get(name) or f"Pass-{uuid4()}", encoding="utf-8")
    for host in HOSTS:
        (folder / ".lab" / f"agent-link-{host}").write_text(servers.agent_link(host), encoding="utf-8")
    (folder / ".lab" / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    return folder


def desired_by_host(folder: Path) -> dict[str, Desired]:
    """Every host of inventories/lab, compiled by the project's roles."""
    inventory = load(copied(folder))
    return {host.name: desired for host, desired in roles.compile(inventory, inventory.hosts, roles.find())}


def writes_in(heard: Sequence[str]) -> list[Call]:
    """Every write that a session's agent was sent, in order, decoded from its lines; secrets as such."""
    return list(_writes(heard))


def _writes(heard: Sequence[str], job: bool = False) -> Iterator[Call]:
    """Of a job's order all calls; what its runner heard is no session's."""
    secrets: dict[str, Secret] = {}
    for line in heard:
        if line.startswith("*"):
            number, text = line.split()
            secrets[number[1:]] = Secret(base64.b64decode(text).decode(), "the request")
        if not line.startswith('{"id"'):
            continue
        request = json.loads(line)
        calls = request["calls"] if job else request["calls"][: request["writes"]] if request["id"] != JOB else []
        for call in calls:
            args = _plain(call["args"], secrets)
            yield Write(call["verb"], args | ({"order": _ordered(args["order"])} if call["verb"] == "job.start" else {}))
        secrets = {}


def _ordered(lines: Sequence[str | Secret]) -> tuple[Call, ...]:
    """What a job was told to do."""
    return tuple(_writes([line.reveal() if isinstance(line, Secret) else line for line in lines], job=True))


def _plain(value: Any, secrets: dict[str, Secret]) -> Any:
    if isinstance(value, str) and value[:1] in "*!":
        return secrets[value[1:]]
    if isinstance(value, str):
        return base64.b64decode(value[1:]) if value.startswith("#") else value[1:]
    if isinstance(value, dict):
        return {name: _plain(item, secrets) for name, item in value.items()}
    return [_plain(item, secrets) for item in value] if isinstance(value, list) else value
