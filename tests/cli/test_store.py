"""``opdeploy store``: whole or not is an exit code, nothing goes unasked, and an export is lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import past
import pytest
from command_line import Done, opdeploy

from opdeploy.store import Store, database, history
from opdeploy.store.database import NAME

APPLIED = replace(past.EXTRA, outcome="applied")


Desk = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(Store.open(tmp_path / "store")) as store:
        past.planned(store, "2020-01-01")
        past.applied(store, "2020-01-02", APPLIED)
        past.planned(store, "2026-11-01")
    return tmp_path / "store"


@pytest.fixture
def desk(folder: Path) -> Desk:
    return lambda *arguments: opdeploy("store", *arguments, "--store", str(folder), store=folder)


def spoil(folder: Path) -> None:
    content = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def runs_in(folder: Path) -> list[str]:
    with closing(Store.open(folder)) as store:
        return [one.created_at[:10] for one in history.runs(store)]


# ---------------------------------------------------------------- check


def test_a_whole_store_is_0(desk: Desk, folder: Path) -> None:
    done = desk("check")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{folder / NAME}  ")
    assert done.out.endswith(f" kB, schema {len(database.MIGRATIONS)}, 3 runs\n")


def test_runs_that_never_ended_are_named_and_no_fault(desk: Desk, folder: Path) -> None:
    with closing(Store.open(folder)) as store:
        name = past.killed(store, "2026-11-03")
    done = desk("check")
    assert done.code == 0
    assert (
        f"never ended, or under way: {name}  apply by anna@admin-pc, changes begun of which nobody knows what came: 1"
        in done.out
    )


def test_a_broken_store_is_1_and_stays_where_it_is(desk: Desk, folder: Path) -> None:
    spoil(folder)
    before = sorted(folder.iterdir())
    done = desk("check")
    assert done.code == 1
    assert f"error: {folder / NAME} is broken: " in done.err
    assert "restore it from a backup, or start a new history: opdeploy store check --set-aside" in done.err
    assert {path for path in folder.iterdir() if "broken" in path.name} == set()
    assert set(before) <= set(folder.iterdir())


def test_a_broken_store_is_set_aside_when_asked_with_what_is_lost(desk: Desk, folder: Path) -> None:
    spoil(folder)
    broken = (folder / NAME).read_bytes()
    done = desk("check", "--set-aside")
    assert (done.code, done.out) == (0, "")
    (aside,) = database.aside(folder)
    assert aside.read_bytes() == broken
    assert done.err.splitlines()[0] == f"set aside: {aside}"
    assert "remove can't put it back" in done.err
    assert done.err.splitlines()[-1] == f"a new history begins in {folder}"
    assert runs_in(folder) == []
    assert f"set aside: {aside}" in desk("check").out


def test_a_whole_store_is_never_set_aside(desk: Desk, folder: Path) -> None:
    done = desk("check", "--set-aside")
    assert (done.code, "one that is whole is not set aside" in done.err) == (64, True)
    assert len(runs_in(folder)) == 3


def test_what_keeps_a_whole_store_from_use_is_1_too(desk: Desk, folder: Path) -> None:
    (folder / "key").unlink()
    done = desk("check")
    assert (done.code, "key is gone, and the records beside it were made with it" in done.err) == (1, True)
    assert not (folder / "key").exists()


@pytest.mark.parametrize("arguments", [("check",), ("check", "--set-aside"), ("prune",), ("export",)])
def test_where_no_store_is_none_is_made(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = opdeploy("store", *arguments, "--store", str(tmp_path / "no"))
    assert (done.code, done.out, "error: " in done.err) == (64, "", True)
    assert not (tmp_path / "no").exists()


# ---------------------------------------------------------------- prune


def test_what_would_go_is_said_and_stays(desk: Desk, folder: Path) -> None:
    done = desk("prune", "--keep", "2021-01-01")
    assert done.out == "would go: 1 runs from before 2021-01-01 (1 plan); 1 as old stay, since they are needed\n"
    assert len(runs_in(folder)) == 3


def test_what_goes_is_said(desk: Desk, folder: Path) -> None:
    done = desk("prune", "--keep", "2021-01-01", "--apply")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("deleted: 1 runs from before 2021-01-01 (1 plan)")
    assert runs_in(folder) == ["2026-11-01", "2020-01-02"]


def test_what_is_under_way_can_not_go(desk: Desk, folder: Path) -> None:
    done = desk("prune", "--keep", "1h", "--apply")
    assert (done.code, "keep a day at least: 1d" in done.err) == (64, True)
    assert len(runs_in(folder)) == 3


def test_space_that_somebody_keeps_is_no_failure(desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0)
    with closing(Store.open(folder)) as reader:
        reader._connection.execute("BEGIN")
        reader._connection.execute("SELECT * FROM runs").fetchone()
        done = desk("prune", "--keep", "2021-01-01", "--apply")
    assert done.code == 0
    assert len(runs_in(folder)) == 2


# ---------------------------------------------------------------- export


def test_an_export_is_a_line_a_record(desk: Desk) -> None:
    records = [json.loads(line) for line in desk("export").out.splitlines()]
    assert records[0]["schema"] == "opdeploy.export/1"
    assert sum(record["record"] == "run" for record in records) == 3
    assert (
        sum(record["record"] == "run" for record in map(json.loads, desk("export", "--since", "2021-01-01").out.splitlines()))
        == 1
    )


def test_a_broken_store_is_told_and_not_half_exported_in_silence(desk: Desk, folder: Path) -> None:
    spoil(folder)
    done = desk("export")
    assert (done.code, "the run store is broken" in done.err) == (64, True)
