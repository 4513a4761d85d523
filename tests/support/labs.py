"""Simulated servers for tests: real WS-Man on loopback, in threads of this process, and jobs that reach them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from runs import run

from opdeploy import engine
from opdeploy.inventory import Connection, Host, Position
from opdeploy.lab.http import Server, serve
from opdeploy.lab.windows import agent as lab_agent
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import State
from opdeploy.model import Secret
from opdeploy.planning import Desired, Managed
from opdeploy.resources.base import Resource
from opdeploy.results import Command, HostResult
from opdeploy.store import Store

PASSWORD = Secret(servers.PASSWORD, "env:LAB_PASSWORD")


@dataclass
class Box:
    """One simulated server. `heard`: every line that any agent process on it was sent."""

    computer: Computer
    server: Server
    heard: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.computer.state

    def connection(self, **given: object) -> Connection:
        told: dict[str, object] = {"port": self.server.port, "scheme": "http", "user": servers.ADMIN, "password": PASSWORD}
        return Connection("127.0.0.1", **{**told, **given})  # type: ignore[arg-type]

    def job(self, resources: Sequence[Resource], **given: object) -> engine.Job:
        desired = Desired(tuple(Managed(resource, ("test",)) for resource in resources))
        return self.of(desired, **given)

    def of(self, desired: Desired, **given: object) -> engine.Job:
        at = Position(Path("hosts.yml"), 1, 1)
        return engine.Job(Host(self.computer.name.lower(), at, (), {}, self.connection(**given)), desired)

    def count(self, action: str) -> int:
        return sum(entry.action.endswith(action) and entry.status == 200 for entry in self.server.log)

    def shells(self) -> int:
        return len(self.server.service.shells)


@contextmanager
def box(state: State | None = None) -> Iterator[Box]:
    computer = Computer(state or servers.database_server())
    server = serve(computer)
    made = Box(computer, server)
    original = lab_agent.Agent.take

    def take(agent: lab_agent.Agent, line: str) -> None:
        if agent.state is computer.state:
            made.heard.append(line)
        original(agent, line)

    lab_agent.Agent.take = take  # type: ignore[method-assign]
    try:
        yield made
    finally:
        lab_agent.Agent.take = original  # type: ignore[method-assign]
        server.stop()


def applied(store: Store, job: engine.Job, command: Command = "apply", **given: Any) -> HostResult:
    """One host's apply, recorded as the command does it; `given`: what else `engine.apply` takes."""
    begun = run(command=command, run_id=uuid4().hex)
    recorder = store.begin(begun)
    (result,) = engine.apply([job], store, recorder, **given)
    recorder.finish(replace(begun, hosts=(result,)))
    return result
