"""A running lab: a listener for each simulated host, and the end of it all.

State survives in `Setup.state` if that is given: one file a host, written when the lab ends.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opdeploy.lab import folder, tampering
from opdeploy.lab.certificates import open_certificates
from opdeploy.lab.http import Entry, Server, serve
from opdeploy.lab.settings import Settings
from opdeploy.lab.setup import Setup, Simulated
from opdeploy.lab.windows import servers, state
from opdeploy.lab.windows.computer import Behaviour, Computer

KINDS = {
    "database_server": servers.database_server,
    "backup_station": servers.backup_station,
    "terminal_server": servers.terminal_server,
}


class LabError(Exception):
    """Why a lab can't be started, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Running:
    """One host, served."""

    simulated: Simulated
    computer: Computer
    server: Server


@dataclass
class Lab:
    setup: Setup
    hosts: list[Running] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    since: float = field(default_factory=time.time)

    def status(self) -> dict[str, Any]:
        """What ``lab status`` shows: hosts with what they answered so far. Sizes in bytes, times in seconds."""
        return {
            "pid": os.getpid(),
            "seconds": round(time.time() - self.since, 1),
            "latency": self.setup.latency,
            "powershell_start": self.setup.powershell_start,
            "state": self.setup.state,
            "hosts": [_status(host) for host in self.hosts],
        }

    def tamper(self, name: str, only: list[str]) -> list[dict[str, str]]:
        """Changes a host behind everybody's back. Raises KeyError for a host that there is not."""
        host = {host.simulated.name: host for host in self.hosts}[name]
        with host.computer.lock:
            return [{"what": what, "done": done} for what, done in tampering.tamper(host.computer.state, only)]

    def stop(self) -> None:
        """Ends every listener and writes the hosts' state where it is kept. May be called again."""
        for host in self.hosts:
            host.server.stop()
            if self.setup.state:
                _save(host, Path(self.setup.state))
        self.hosts.clear()


def start(setup: Setup) -> Lab:
    """Every host of the setup, or none. Raises LabError for a port that is taken, or a state that can't be read."""
    lab = Lab(setup)
    try:
        for simulated in setup.hosts:
            lab.hosts.append(_serve(simulated, setup))
    except BaseException:
        for host in lab.hosts:
            host.server.stop()
        raise
    return lab


def _serve(simulated: Simulated, setup: Setup) -> Running:
    computer = Computer(_state(simulated, setup), Behaviour(powershell_start=setup.powershell_start))
    certificates = open_certificates(Path(setup.folder)) if simulated.https else None
    log = _Log(Path(setup.folder) / folder.LOG, simulated.name)
    settings = Settings(latency=setup.latency)
    try:
        server = serve(computer, simulated.address, simulated.port, https=certificates, settings=settings, on_request=log.write)
    except OSError as error:
        where = f"{simulated.address}:{simulated.port}"
        hint = "end what listens there, or give the host another ansible_port in the inventory"
        raise LabError(f"{simulated.name}: can't listen on {where}: {error.strerror}", hint) from error
    return Running(simulated, computer, server)


@dataclass
class _Log:
    """A line a POST: sizes and actions, never a body."""

    path: Path
    host: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, entry: Entry) -> None:
        sizes = f"{entry.bytes_in} in, {entry.bytes_out} out"
        line = f"{time.strftime('%H:%M:%S')} {self.host} {entry.status} {entry.action or '-'} {sizes}\n"
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)


# ---------------------------------------------------------------- state


def _state(simulated: Simulated, setup: Setup) -> state.State:
    """The host as it was when the lab last ended, or as new."""
    kept = Path(setup.state) / f"{simulated.name}.json" if setup.state else None
    if kept is None or not kept.exists():
        return KINDS[simulated.kind](simulated.computer_name, simulated.user, simulated.password)
    try:
        return state.load(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise LabError(f"{kept}: this is no state of a simulated host", "remove it, and the host starts as new") from error


def _save(host: Running, directory: Path) -> None:
    with host.computer.lock:
        folder.write_private(directory / f"{host.simulated.name}.json", state.dump(host.computer.state))


def _status(host: Running) -> dict[str, Any]:
    told = {"name": host.simulated.name, "kind": host.simulated.kind, "url": host.server.url}
    return {**told, "posts": host.server.posts, "bytes_in": host.server.bytes_in, "bytes_out": host.server.bytes_out}
