"""docs/sessions.md states POSTs: each row of its table is run against a simulated server, over real WS-Man, counted there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from labs import Box, applied, box

from opdeploy import engine
from opdeploy.calls import SESSION_LOST
from opdeploy.engine.fleet import PARALLEL
from opdeploy.resources.base import Resource
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.resources.service import Service
from opdeploy.store import Store
from opdeploy.windows import sending
from opdeploy.windows.files import PIECE
from opdeploy.windows.station import PATIENCE, REQUEST, WALKS_THE_TREE
from opdeploy.windows.winrs import Limits

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs/sessions.md").read_text(encoding="utf-8")
ROWS = {title: int(posts) for title, posts in re.findall(r"^\| ((?:plan|apply), [^|]+) \| (\d+) \|$", PAGE, re.MULTILINE)}
ORPHAN = "S-1-5-21-1-2-3-4711"


def values(count: int) -> list[Resource]:
    return [RegistryValue(path=r"SOFTWARE\OP", name=f"Value {n}", type="dword", data=n) for n in range(count)]


def services(count: int) -> list[Resource]:
    return [Service(name=f"None{n}", absent=True) for n in range(count)]


def plan(made: Box, resources: list[Resource], store: Store) -> None:
    (result,) = engine.plan([made.job(resources)], store)
    assert not result.error


def apply(made: Box, resources: list[Resource], store: Store) -> None:
    result = applied(store, made.job(resources))
    assert (result.error, result.code) == ("", 0)


Doing = Callable[[Box, list[Resource], Store], None]
RUNS: dict[str, tuple[Doing, list[Resource]]] = {
    "plan, no resource at all": (plan, []),
    "plan, 10 registry values": (plan, values(10)),
    "plan, 200 registry values": (plan, values(200)),
    "plan, 10 services": (plan, services(10)),
    "plan, 200 services": (plan, services(200)),
    "plan, a second round because an answer names something to ask": (
        plan,
        [GroupMembers(group="Administrators", members=(ORPHAN,))],
    ),
    "apply, nothing to change": (apply, services(1)),
    "apply, 1 registry value to change": (apply, values(1)),
    "apply, 10 registry values to change": (apply, values(10)),
}


def test_every_row_of_the_table_is_run() -> None:
    assert list(ROWS) == list(RUNS)


@pytest.mark.parametrize("title", RUNS)
def test_the_stated_number_of_posts(title: str, store: Store) -> None:
    doing, resources = RUNS[title]
    with box() as made:
        doing(made, resources, store)
        assert made.server.posts == ROWS[title]


def test_the_stated_limits() -> None:
    limits = Limits()
    told = {title.strip(): value for title, value in re.findall(r"^\| ([^|]+) \| ([\d,]+)\b[^|]* \|", PAGE, re.MULTILINE)}
    assert told["from one answer to the next"] == f"{limits.deadline:g}"
    assert told["the agent's first answer"] == f"{limits.first_answer:g}"
    assert told["idleness"] == f"{limits.idle:g}"
    assert told["operations in one shell"] == f"{limits.operations:,}"
    assert told["hosts at once"] == str(PARALLEL)
    assert f"for each {limits.chunk // 1024} KB of a request" in PAGE
    assert f"a piece is {PIECE // 1024} KB" in PAGE
    assert f"more than about {REQUEST:,} characters" in PAGE
    assert (WALKS_THE_TREE, "may take an hour" in PAGE) == (3600, True)


def test_the_stated_sizes_of_a_big_file() -> None:
    in_base64 = sending.PIECE * 4 / 3
    assert 3.9 * Limits().chunk < in_base64 < 4 * Limits().chunk - 1000  # the call's own text
    assert f"A piece is {sending.PIECE // 1024} KB" in PAGE
    assert f"for each {sending.PIECE // 1024} KB of a big file" in PAGE
    assert f"{sending.CHANCES[SESSION_LOST]} times at most" in PAGE
    assert (PATIENCE, "(10 minutes at most)" in PAGE) == (600, True)
    assert f"a second more for each {sending.HASHED // sending.MB} MB" in PAGE
