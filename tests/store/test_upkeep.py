"""The run store looked after: what is broken is said, what is needed is never pruned, and nothing secret is exported."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import past
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.model import OpdeployError, UsageError
from opdeploy.results import Item, Practice
from opdeploy.store import Store, database, history, telling, upkeep
from opdeploy.store.database import APPLICATION, MIGRATIONS, NAME

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/export.schema.json").read_text(encoding="utf-8"))
RECORD = jsonschema.Draft202012Validator(SCHEMA)
APPLIED = replace(past.EXTRA, outcome="applied")
KEPT_TABLES = ("found", "passwords", "steps", "known", "differences")


def looked(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program reads in the file."""
    with closing(sqlite3.connect(folder / NAME)) as connection:
        return connection.execute(query).fetchall()


def changed(folder: Path, script: str) -> None:
    with closing(sqlite3.connect(folder / NAME)) as connection:
        connection.executescript(script)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with some past, that nobody has open."""
    store = Store.open(tmp_path / "store")
    past.planned(store, "2026-11-01")
    past.applied(store, "2026-11-02", APPLIED)
    store.close()
    return store.folder


# ---------------------------------------------------------------- check


def test_a_store_that_is_whole_is_told_so_and_left_as_it_is(folder: Path) -> None:
    before = (folder / NAME).read_bytes()
    checked = upkeep.check(folder)
    assert (checked.whole, checked.faults, checked.unended, checked.aside) == (True, (), (), ())
    assert (checked.schema, checked.runs, checked.size >= len(before)) == (len(MIGRATIONS), 2, True)
    assert (folder / NAME).read_bytes() == before


def test_one_that_others_have_open_is_checked_too(store: Store) -> None:
    name = past.killed(store, "2026-11-03")
    with store.writing():
        checked = upkeep.check(store.folder)
    assert checked.faults == ()
    assert [(run.run_id, run.command, run.begun) for run in checked.unended] == [(name, "apply", 1)]


def overwritten(folder: Path) -> None:
    content = bytearray((folder / NAME).read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (folder / NAME).write_bytes(content)


def cut(folder: Path) -> None:
    content = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(content[: len(content) // 2])


def no_database(folder: Path) -> None:
    (folder / NAME).write_bytes(b"this is no database, or no longer\n" * 100)


def without_a_host_it_refers_to(folder: Path) -> None:
    changed(folder, "DELETE FROM desired")


def with_a_page_that_nothing_leads_to(folder: Path) -> None:
    changed(folder, "PRAGMA writable_schema = 1; DELETE FROM sqlite_master WHERE name = 'applied'")


BREAKING = [overwritten, cut, no_database, without_a_host_it_refers_to, with_a_page_that_nothing_leads_to]


@pytest.mark.parametrize("breaks", BREAKING, ids=lambda breaks: breaks.__name__)
def test_what_is_broken_is_said_with_what_to_do(folder: Path, breaks: Callable[[Path], None]) -> None:
    breaks(folder)
    before = (folder / NAME).read_bytes()
    checked = upkeep.check(folder)
    assert not checked.whole
    (fault,) = checked.faults
    assert f"{folder / NAME} is broken: " in fault.message
    assert "--set-aside" in fault.hint
    assert (folder / NAME).read_bytes() == before


def test_no_page_can_be_lost_without_a_word(folder: Path) -> None:
    whole = (folder / NAME).read_bytes()
    assert looked(folder, "PRAGMA freelist_count") == [(0,)]
    for page in range(len(whole) // 4096):
        (folder / NAME).write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
        assert not upkeep.check(folder).whole, page


def test_another_programs_file_and_a_newer_one_are_not_called_broken(folder: Path) -> None:
    changed(folder, "PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="written by a newer opdeploy"):
        upkeep.check(folder)
    changed(folder, "PRAGMA application_id = 7")
    with pytest.raises(UsageError, match="another program's database"):
        upkeep.check(folder)


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run store here"):
        upkeep.check(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_maker_was_killed_at_once_is_empty_and_whole(folder: Path) -> None:
    (folder / NAME).write_bytes(b"")
    assert (upkeep.check(folder).faults, upkeep.check(folder).schema) == ((), 0)
    Store.open(folder).close()
    assert upkeep.check(folder).schema == len(MIGRATIONS)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_store_of_an_earlier_schema_is_whole(folder: Path, version: int) -> None:
    (folder / NAME).unlink()
    pragmas = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version};"
    changed(folder, "".join(MIGRATIONS[:version]) + pragmas)
    (folder / NAME).chmod(0o600)
    assert (upkeep.check(folder).faults, upkeep.check(folder).schema) == ((), version)
    with pytest.raises(UsageError, match=f"of an earlier version .schema {version}, here"):
        list(upkeep.export(folder, "", ""))


def key_gone(folder: Path) -> None:
    (folder / "key").unlink()


def key_cut(folder: Path) -> None:
    (folder / "key").write_bytes(b"short")


def key_open(folder: Path) -> None:
    (folder / "key").chmod(0o640)


def records_open(folder: Path) -> None:
    (folder / NAME).chmod(0o644)


@pytest.mark.parametrize(
    ("spoils", "said", "hint"),
    [
        (key_gone, "key is gone, and the records beside it were made with it", "restore it"),
        (key_cut, "expected a key of 32 bytes, found 5", "restore it"),
        (key_open, "others may read this key", "chmod 600"),
        (records_open, "others may read what every host is like", "chmod 600"),
    ],
)
def test_what_else_makes_a_store_worthless_is_said(folder: Path, spoils: Callable[[Path], None], said: str, hint: str) -> None:
    spoils(folder)
    checked = upkeep.check(folder)
    assert checked.whole
    assert [(said in fault.message, hint in fault.hint) for fault in checked.faults] == [(True, True)]
    assert (folder / "key").exists() == (spoils is not key_gone)


def test_a_broken_one_that_was_set_aside_is_remembered(folder: Path) -> None:
    overwritten(folder)
    aside = database.set_aside(folder, past.NOW)
    Store.open(folder).close()
    assert aside
    assert upkeep.check(folder).aside == (aside,)
    assert upkeep.check(folder).runs == 0


@pytest.fixture
def read_only(folder: Path) -> Iterator[Path]:
    """The store where nobody but root may write, and everybody read."""
    place = Path(tempfile.mkdtemp())
    shutil.copytree(folder, place / "store")
    for path in (place, place / "store", *(place / "store").iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield place / "store"
    for path in (place, place / "store"):
        path.chmod(0o755)
    shutil.rmtree(place)


def as_nobody(does: Callable[[], object]) -> str:
    """What comes of it in a process that may not write there."""
    reads, writes = os.pipe()
    if not (child := os.fork()):
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            os.write(writes, str(does()).encode())
        except BaseException as error:
            os.write(writes, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as said:
        os.waitpid(child, 0)
        return said.read()


def test_a_folder_that_can_not_be_written_is_read(read_only: Path) -> None:
    assert as_nobody(lambda: upkeep.check(read_only).runs) == "2"
    assert as_nobody(lambda: len(history.runs(history.opened(read_only)))) == "2"
    assert as_nobody(lambda: len(list(upkeep.export(read_only, "", "")))) == str(len(list(upkeep.export(read_only, "", ""))))


def test_a_log_that_can_not_be_read_there_is_not_passed_over(read_only: Path) -> None:
    read_only.chmod(0o755)
    (read_only / f"{NAME}-wal").write_bytes(b"whatever somebody wrote last")
    read_only.chmod(0o555)
    assert as_nobody(lambda: upkeep.check(read_only)).startswith(f"UsageError: {read_only / NAME}: the run store can't be used")


# ---------------------------------------------------------------- prune

BEFORE = "2026-01-01T00:00:00.000Z"


def pruned(store: Store, before: str = BEFORE) -> list[str]:
    upkeep.prune(store, upkeep.old(store, before))
    assert database.damage(store.folder / NAME) == ""
    return [run.run_id for run in history.runs(store)]


def test_old_runs_go_with_all_that_only_they_had(store: Store) -> None:
    past.planned(store, "2025-03-01")
    new = past.planned(store, "2026-03-01", runs.IN_SYNC)
    going = upkeep.old(store, BEFORE)
    assert (going.commands, going.kept) == (("plan",), 0)
    assert pruned(store) == [new]
    assert looked(store.folder, "SELECT DISTINCT run_id FROM hosts UNION SELECT run_id FROM changes") == [(new,)]
    assert looked(store.folder, "SELECT digest FROM desired") == looked(store.folder, "SELECT DISTINCT desired FROM hosts")


def test_a_moment_is_told_to_the_second(store: Store) -> None:
    name = past.planned(store, "2025-03-01")
    assert upkeep.old(store, "2025-03-01T03:00:00.000Z").run_ids == ()
    assert upkeep.old(store, "2025-03-01T03:00:01.000Z").run_ids == (name,)


def test_the_last_apply_of_each_resource_stays(store: Store) -> None:
    past.applied(store, "2025-01-01", APPLIED)
    last = past.applied(store, "2025-02-01", APPLIED)
    other = past.applied(store, "2025-01-15", APPLIED, host="db2.example")
    failed = past.applied(store, "2025-03-01", replace(past.EXTRA, outcome="failed"))
    applied = store.last_applied("db1.example", "service", "Leftover")
    assert upkeep.old(store, BEFORE).kept == 2
    assert set(pruned(store)) == {last, other}
    assert failed not in pruned(store)
    assert store.last_applied("db1.example", "service", "Leftover") == applied


def test_an_inventorys_last_drift_check_and_what_people_were_told_stay(store: Store) -> None:
    told = past.planned(store, "2025-01-01", command="drift")
    telling.remember(store, told, telling.scope("inventories/lab", ()), [["db1", "x"]])
    past.planned(store, "2025-01-02", command="drift")
    last = past.planned(store, "2025-01-03", command="drift")
    assert pruned(store) == [last, told]
    assert telling.last_told(store, telling.scope("inventories/lab", ())) == [["db1", "x"]]


def test_what_is_known_of_hosts_stays(store: Store) -> None:
    filled(store)
    before = {table: looked(store.folder, f"SELECT * FROM {table}") for table in KEPT_TABLES}
    assert all(before.values())
    assert pruned(store, "2027-01-01T00:00:00.000Z") != []
    assert {table: looked(store.folder, f"SELECT * FROM {table}") for table in KEPT_TABLES} == before


def filled(store: Store) -> None:
    """One row of each kind at least."""
    past.applied(store, "2025-01-01", APPLIED, replace(Item(runs.NEW_USER), outcome="applied"))
    past.planned(store, "2025-01-02", command="drift")
    store.set_password("db1.example", "op-support", runs.secret(), "2025-01-01T03:00:00Z")
    store.sign_step("db1.example", "take-the-disk-home", "digest", "anna", "done", Practice("/srv/practices/elm", "elm"))


NIGHTS = st.lists(
    st.tuples(
        st.sampled_from(["plan", "drift", "applied", "failed", "killed"]),
        st.sampled_from(["db1.example", "db2.example"]),
        st.sampled_from([runs.FIREBIRD, runs.EXTRA, runs.LATER]),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(nights=NIGHTS, keep=st.integers(1, 9))
def test_whatever_happened_pruning_changes_no_answer(nights: list[tuple[str, str, Any]], keep: int) -> None:
    with tempfile.TemporaryDirectory() as place, closing(Store.open(Path(place))) as store:
        for day, (what, host, change) in enumerate(nights, start=1):
            happens(store, what, f"2025-01-{day:02}", host, Item(change))
        asked = [(host, "service", item.resource.key) for _, host, item in nights]
        before = [store.last_applied(*one) for one in asked]
        newer = [run for run in history.runs(store) if run.created_at >= f"2025-01-{keep:02}"]
        assert pruned(store, f"2025-01-{keep:02}T00:00:00.000Z")[: len(newer)] == [run.run_id for run in newer]
        assert [store.last_applied(*one) for one in asked] == before
        assert [history.run(store, run.run_id) for run in newer] == newer
        assert upkeep.old(store, f"2025-01-{keep:02}T00:00:00.000Z").run_ids == ()


def happens(store: Store, what: str, day: str, host: str, item: Item) -> None:
    if what == "killed":
        past.killed(store, day, host=host, during=item)
    elif what in ("plan", "drift"):
        past.planned(store, day, runs.host(host, item), command=what)
    else:
        past.applied(store, day, replace(item, outcome=what), host=host)  # type: ignore[arg-type]


def test_a_pruning_that_is_cut_off_can_be_run_again(store: Store) -> None:
    for day in range(1, 6):
        past.planned(store, f"2025-01-{day:02}")
    going = upkeep.old(store, BEFORE)
    upkeep.prune(store, replace(going, run_ids=going.run_ids[:2]))
    assert database.damage(store.folder / NAME) == ""
    assert pruned(store) == []


def test_the_space_is_given_back(store: Store) -> None:
    for day in range(1, 29):
        past.planned(store, f"2025-01-{day:02}")
    upkeep.shrink(store)
    before = (store.folder / NAME).stat().st_size
    assert pruned(store) == []
    upkeep.shrink(store)
    assert (store.folder / NAME).stat().st_size < before


def test_space_that_somebody_keeps_is_an_error_and_no_loss(store: Store) -> None:
    past.planned(store, "2026-03-01")
    store._connection.execute("PRAGMA busy_timeout = 0")
    with closing(Store.open(store.folder)) as other, other.writing(), pytest.raises(OpdeployError, match="locked"):
        upkeep.shrink(store)
    assert len(history.runs(store)) == 1


# ---------------------------------------------------------------- export


def exported(folder: Path, since: str = "") -> list[dict[str, Any]]:
    records = list(upkeep.export(folder, since, "2026-11-22T03:00:00Z"))
    for record in records:
        RECORD.validate(record)
    return [json.loads(json.dumps(record)) for record in records]


def test_every_record_is_a_line_that_the_schema_knows(store: Store) -> None:
    filled(store)
    past.planned(
        store, "2026-11-01", runs.host("db1.example", replace(past.ITEM, drift=past.drifted("corrective"))), command="drift"
    )
    records = exported(store.folder)
    assert {record["record"] for record in records} == {"export", *upkeep.RECORDS}
    for table, name in {"runs": "run", "hosts": "host", "changes": "change", "desired": "desired", "found": "found"}.items():
        ((count,),) = looked(store.folder, f"SELECT count(*) FROM {table}")
        assert sum(record["record"] == name for record in records) == count


def test_documents_are_documents_there(store: Store) -> None:
    past.applied(store, "2026-11-02", replace(past.ITEM, outcome="applied"))
    told = {record["record"]: record for record in exported(store.folder)}
    assert told["run"]["approvals"][0]["by"] == "berta"
    assert told["change"]["properties"]["dependencies"] == {"before": ["RpcSs"], "after": ["RpcSs", "Tcpip"]}
    assert told["found"]["was"]["values"]["dependencies"] == ["RpcSs"]


def test_only_runs_since_and_what_is_known(store: Store) -> None:
    filled(store)
    new = past.planned(store, "2026-11-01", runs.IN_SYNC)
    records = exported(store.folder, "2026-01-01T00:00:00.000Z")
    assert {record["run_id"] for record in records if record["record"] in ("run", "host", "change")} == {new}
    assert [len(record["resources"]) for record in records if record["record"] == "desired"] == [1]
    assert {"found", "password", "step"} < {record["record"] for record in records}


def test_no_secret_no_fingerprint_and_no_key_is_exported(store: Store) -> None:
    filled(store)
    text = json.dumps(exported(store.folder))
    assert "(secret)" in text
    fingerprint = runs.secret().fingerprint(store.key())
    for table in ("passwords", "known"):
        assert fingerprint in str(looked(store.folder, f"SELECT * FROM {table}"))
    for hidden in (runs.PASSWORD, fingerprint, store.key().hex()):
        assert hidden not in text


def test_an_export_is_of_one_moment(store: Store) -> None:
    past.planned(store, "2026-11-01")
    lines = upkeep.export(store.folder, "", "")
    begun = [next(lines), next(lines)]
    past.planned(store, "2026-11-02")
    pruned(store, "2026-11-02T00:00:00.000Z")
    told = [*begun, *lines]
    assert {record["run_id"] for record in told if "run_id" in record} == {"20261101T030000Z-0a0a0a"}
    assert sum(record["record"] == "host" for record in told) == 3


# ---------------------------------------------------------------- killed, and several at once

ITEMS = [Item(runs.service(f"Service{number}", start_mode=("manual", "automatic"))) for number in range(4)]


def journalled(folder: Path, run_id: str, told: Callable[[], object] = lambda: None, ticks: Any = None) -> None:
    """An apply of `ITEMS`; says after each step that it is done. `ticks`: what SQLite calls at every step of its own."""
    with closing(Store.open(folder)) as store:
        store._connection.set_progress_handler(ticks, 1)
        run = runs.run(command="apply", run_id=run_id)
        recorder = store.begin(run)
        told()
        done = [replace(item, outcome="applied") for item in ITEMS]
        for item, after in zip(ITEMS, done, strict=True):
            recorder.before("db1.example", item)
            told()
            recorder.after("db1.example", after)
            told()
        recorder.finish(replace(run, hosts=(runs.host("db1.example", *done),)))
        told()


def steps_of(folder: Path) -> int:
    """How many steps SQLite takes for one."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    journalled(folder, "measured", ticks=tick)
    return count


def killed_at(folder: Path, step: int) -> int:
    """Runs one that dies at this step, without a word; how far it said that it was."""
    reads, writes = os.pipe()
    left = iter(range(step))
    if not (child := os.fork()):
        try:
            journalled(
                folder,
                "killed",
                told=lambda: os.write(writes, b"."),
                ticks=lambda: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL),
            )
        finally:
            os._exit(1)
    os.close(writes)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with os.fdopen(reads) as said:
        return len(said.read())


def test_killed_at_any_step_it_leaves_what_it_said_was_done_and_the_next_run_is_right(tmp_path: Path) -> None:
    steps = steps_of(tmp_path / "measured")
    for step in {0, steps - 1, *random.Random(6).sample(range(steps), 30)}:
        folder = tmp_path / str(step)
        said = killed_at(folder, step)
        assert upkeep.check(folder).faults == (), step
        with closing(Store.open(folder)) as store:
            known = as_far_as(store)
            assert known in (said, said + 1), "what was said is there, and at most what was being written"
            assert [run.run_id for run in upkeep.check(folder).unended] == (["killed"] if 0 < known < 10 else [])
        journalled(folder, "again")
        with closing(Store.open(folder)) as store:
            assert history.run(store, "again").code == 0
            assert history.came_to(store, "again").applied == len(ITEMS)


def as_far_as(store: Store) -> int:
    """How many steps of `journalled` are on disk: each one whole, in its order, and with what was there before."""
    if "killed" not in history.run_ids(store):
        return 0
    changes = history.changes(store, "killed")
    assert [change.key for change in changes] == [item.change.resource.key for item in ITEMS][: len(changes)]
    assert [change.never_ended for change in changes[:-1]] == [False] * len(changes[:-1])
    assert all(store.found("db1.example", change.kind, change.key) for change in changes)
    ended = sum(not change.never_ended for change in changes)
    return 1 + len(changes) + ended + (history.run(store, "killed").code is not None)


WRITER = """
import sys
from pathlib import Path
import past
from dataclasses import replace
from opdeploy.store import Store
store = Store.open(Path(sys.argv[1]))
for day in range(1, 11):
    past.planned(store, f"2025-02-{day:02}", ending=sys.argv[2])
    past.applied(store, f"2026-02-{day:02}", replace(past.ITEM, outcome="applied"), ending=sys.argv[2])
past.killed(store, "2026-03-01", ending=sys.argv[2])
"""


def old_and_ended(store: Store) -> upkeep.Old:
    """A run of this test is as old as it says, and may be under way all the same: no real one is."""
    going = upkeep.old(store, BEFORE)
    under_way = {run.run_id for run in history.runs(store) if run.code is None}
    return replace(going, run_ids=tuple(id for id in going.run_ids if id not in under_way))


@pytest.mark.slow
def test_writers_lose_nothing_beside_one_that_prunes_checks_and_exports(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with closing(Store.open(tmp_path)) as store:
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], env=environment) for name in "abc"]
        while any(writer.poll() is None for writer in writers):
            upkeep.prune(store, old_and_ended(store))
            upkeep.shrink(store)
            assert upkeep.check(tmp_path).faults == ()
            assert list(upkeep.export(tmp_path, "", ""))
        assert [writer.returncode for writer in writers] == [0, 0, 0]
        assert len(history.runs(store, command="apply")) == 3 * 11
        assert [counts.applied for run in history.runs(store) for counts in [history.came_to(store, run.run_id)]].count(1) == 30
        assert len(upkeep.check(tmp_path).unended) == 3
        assert pruned(store) == [run.run_id for run in history.runs(store, command="apply")]
