"""The lab's practice, which has every kind, over real WS-Man: applied twice, from a bare host and from a believable one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_practice import desired_by_host
from labs import Box, applied, box

from opdeploy import engine
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import State, dump
from opdeploy.model import ExitCode
from opdeploy.planning import Desired
from opdeploy.resources import KINDS
from opdeploy.store import Store

pytestmark = pytest.mark.usefixtures("no_pauses")


def with_data_drive(build: int, product: str, like: State) -> State:
    """In the same network as a believable one."""
    state = servers.bare(build, product)
    servers._data_drive(state)
    state.network, state.web = like.network, like.web
    return state


HOSTS: dict[str, tuple[str, Callable[[], State]]] = {
    "database server": ("db1", servers.database_server),
    "backup station": ("backup1", servers.backup_station),
    "terminal server": ("ts1", servers.terminal_server),
    "a bare server as terminal server": ("ts1", lambda: with_data_drive(26100, "ServerNT", servers.terminal_server())),
    "a bare workstation as backup station": ("backup1", lambda: with_data_drive(22631, "WinNT", servers.backup_station())),
}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desired]:
    return desired_by_host(tmp_path_factory.mktemp("practice") / "lab")


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, practice: dict[str, Desired]) -> Iterator[tuple[Box, engine.Job]]:
    name, state = HOSTS[request.param]
    with box(state()) as made:
        yield made, made.of(practice[name])


def test_the_practice_has_every_kind(practice: dict[str, Desired]) -> None:
    named = {managed.resource.KIND for desired in practice.values() for managed in desired.resources}
    assert named == set(KINDS)


def test_applied_twice_it_changes_nothing_the_second_time(host: tuple[Box, engine.Job], tmp_path: Path) -> None:
    made, job = host
    store = Store.open(tmp_path / "store")
    (planned,) = engine.plan([job], store)
    assert [(item.id, item.change.reason) for item in planned.items if item.change.verdict == "unknown"] == []
    first = applied(store, job)
    assert [(item.id, item.outcome, item.error or item.change.reason) for item in first.items if item.code != ExitCode.OK] == []
    before = dump(made.state)
    (again,) = engine.plan([job], store)
    assert [item.id for item in again.items if item.code != ExitCode.OK] == []
    assert applied(store, job).code == ExitCode.OK
    assert dump(made.state) == before
    assert made.shells() == 0
