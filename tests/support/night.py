"""A practice on a bad night: simulated hosts in this process that a test makes misbehave, and the real command on them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs import Box, box

from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import State

PASSWORD = "OPDEPLOY_NIGHT_PASSWORD"
ROLES = {
    "firewall": {
        "rules": {
            f"OP-{name}-In": {
                "direction": "inbound", "action": "allow", "protocol": "TCP", "local_ports": port,
                "remote_addresses": ["10.20.0.0/24"],
            }
            for name, port in (("Firebird", 3050), ("Web", 8443), ("Update", 8444))
        }
    }
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def host(self, name: str) -> dict[str, Any]:
        return next(host for host in self.report["hosts"] if host["name"] == name)


@dataclass
class Night:
    """`hosts`: Ansible's variables of each; what `Night.box` adds is served. All that commands leave is in `folder`."""

    folder: Path
    stack: ExitStack
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def box(self, name: str, state: State | None = None, **variables: Any) -> Box:
        made = self.stack.enter_context(box(state or servers.bare(name=name.upper())))
        self.boxes[name] = made
        self.host(name, made.server.port, **variables)
        return made

    def host(self, name: str, port: int, **variables: Any) -> None:
        """A host that this test serves otherwise, or not at all."""
        reached = {"ansible_host": "127.0.0.1", "ansible_port": port, "ansible_winrm_scheme": "http"}
        self.hosts[name] = {**reached, **ROLES, **variables}

    def write(self) -> Path:
        """The inventory as it stands. JSON is YAML."""
        common = {"ansible_user": servers.ADMIN, "ansible_password": {"from_env": PASSWORD}}
        inventory = self.folder / "inventory"
        inventory.mkdir(exist_ok=True)
        tree = {"all": {"vars": common, "children": {"night": {"hosts": self.hosts}}}}
        (inventory / "hosts.yml").write_text(json.dumps(tree, indent=1))
        return inventory

    def start(self, *arguments: str, program: Sequence[str] = ("-m", "opdeploy"), **more: Any) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OPDEPLOY_")}
        own = {"XDG_STATE_HOME": str(self.folder / "state"), PASSWORD: servers.PASSWORD, **self.environment}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": kept | own}
        command = [sys.executable, *program, *arguments, "-i", str(self.write())]
        return subprocess.Popen(command, cwd=self.folder, text=True, encoding="utf-8", **(pipes | more))

    def run(self, *arguments: str, timeout: float = 120, **more: Any) -> Said:
        began = time.monotonic()
        process = self.start(*arguments, **more)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert "Traceback" not in out + err
        return Said(process.returncode, out, err, time.monotonic() - began)

    def shells(self) -> int:
        return sum(made.shells() for made in self.boxes.values())


@contextmanager
def night_in(folder: Path) -> Iterator[Night]:
    with ExitStack() as stack:
        yield Night(folder, stack)


@contextmanager
def socket_that(does: Any = None) -> Iterator[int]:
    """A port of loopback that accepts and then does this with each connection; without it, never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if does:
                    threading.Thread(target=does, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        for connection in kept:
            connection.close()
