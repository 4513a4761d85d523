"""Roles on one simulated server over real WS-Man: what a plan says of them, and that a second apply finds nothing to do."""

from __future__ import annotations

from pathlib import Path

import labs
from labs import Box
from roles_at_hand import compiled, one_host
from runs import run, run_text

from opdeploy import engine, roles
from opdeploy.lab.windows.state import dump
from opdeploy.model import ExitCode
from opdeploy.reports.text import plain
from opdeploy.results import HostResult, Item
from opdeploy.store import Store


def job(tmp_path: Path, server: Box, variables: str) -> engine.Job:
    """What a host with these variables (YAML) should be, to be made on this server."""
    return server.of(compiled(one_host(tmp_path, variables), roles.find())["db1"])


def planned(tmp_path: Path, wanted: engine.Job) -> HostResult:
    (result,) = engine.plan([wanted], Store.open(tmp_path / "store"))
    return result


def plan_text(tmp_path: Path, wanted: engine.Job) -> str:
    """The plan as it is shown, without its head and what was sent for it."""
    _, _, body = plain(run_text(run(planned(tmp_path, wanted)))).partition("\n\n")
    return body.partition("\nsent to the hosts: ")[0]


def open_items(result: HostResult) -> list[Item]:
    return [item for item in result.items if item.change.verdict not in ("in_sync", "not_applicable")]


def applied(tmp_path: Path, wanted: engine.Job) -> HostResult:
    return labs.applied(Store.open(tmp_path / "store"), wanted)


def converges(tmp_path: Path, server: Box, wanted: engine.Job) -> None:
    """Applied once, everything is as it should be but what people do; applied again, nothing is touched."""
    first = applied(tmp_path, wanted)
    assert [(item.id, item.outcome, item.error or item.change.reason) for item in first.items if item.code != ExitCode.OK] == []
    before = dump(server.state)
    assert [item.id for item in open_items(planned(tmp_path, wanted)) if not item.by_hand] == []
    assert applied(tmp_path, wanted).code == ExitCode.OK
    assert dump(server.state) == before
