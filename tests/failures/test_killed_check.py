"""A drift check that is killed (SIGKILL) anywhere: the store is whole, nothing is held up, and the next night is right.

Before a statement, a request, in the middle of a statement, of a write and of a rename, where there was no store yet, where a
broken one is moved aside, and while people are told.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from night import PASSWORD, Night, night_in, socket_that
from postbox import Postbox, named, postbox

from opdeploy.cli.ending import run
from opdeploy.cli.place import Place
from opdeploy.lab import tampering
from opdeploy.lab.windows import servers
from opdeploy.store import database

pytestmark = pytest.mark.slow
SEED = 20261122
RULES = ("firewall_rule/OP-Firebird-In", "firewall_rule/OP-Web-In")
INDEX, LOG = 33_000, 140_000  # bytes: the index of SQLite's log has no more, the log of a new store and its first night no less

# The command, killed at its n-th point of a kind: a file of the store opened, made, moved, linked or locked; every few steps of
# SQLite's own program; a statement; a request to the host. Or at these words of a statement or of what it does to a file; or
# ended by the kernel where a file would grow beyond so many bytes.
WATCHED = """
import json, os, resource, signal, sqlite3, sys
from collections import Counter
from opdeploy.__main__ import main

given = os.environ
files = ("open", "os.mkdir", "os.rename", "os.link", "os.remove")
at, word, done = given.get("AT"), given.get("AT_WORD"), Counter()

def point(kind, text=""):
    done[kind] += 1
    if at == f"{kind} {done[kind]}" or word and word in text:
        os.kill(os.getpid(), signal.SIGKILL)

def watch(event, told):
    if event == "fcntl.flock" or event in files and given["STORE"] in str(told[0]):
        point("file", f"{event} {told[0]}")
    elif event == "http.client.send":
        point("request")

def connect(*told, connect=sqlite3.connect, **named):
    connection = connect(*told, **named)
    connection.set_progress_handler(lambda: point("step"), 25)
    connection.set_trace_callback(lambda text: point("statement", text))
    return connection

sqlite3.connect = connect
sys.addaudithook(watch)
sys.dont_write_bytecode = True
if "BEYOND" in given:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(given["BEYOND"]),) * 2)
try:
    main()
finally:
    print(f"did {json.dumps(done)}", file=sys.stderr)
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def drift(self) -> dict[str, tuple[str, str]]:
        """Of each difference of the one host: whose it is, and since when."""
        (host,) = json.loads(self.out)["hosts"]
        drifted = {one["id"]: one["drift"] for one in host["resources"] if one["drift"]}
        return {id: (told["kind"], told["first_seen"]) for id, told in drifted.items()}


@dataclass
class Nights:
    """Nights of one host, `db1`, with this run store. `seen`: the differences that an earlier one saw, and when."""

    night: Night
    store: Path
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.store / database.NAME

    def said(self, *arguments: str) -> Done:
        """A command that nothing happens to, in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*arguments, "--store", str(self.store)], Place(self.store))
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return Done(code, out.getvalue(), err.getvalue())

    def checked(self) -> Done:
        return self.said("drift", "check", "-i", str(self.night.write()), "--format", "json")

    def ended(self, expected: int, **environment: object) -> str:
        """A check in a process of its own, that ends so; what it said on stderr."""
        told = {name: str(value) for name, value in environment.items()} | {"STORE": str(self.store)}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in told.items():
                patch.setenv(name, value)
            process = self.night.start("drift", "check", "--store", str(self.store), program=("-c", WATCHED))
        _, err = process.communicate(timeout=120)
        assert process.returncode == expected, err
        return err

    def runs(self) -> list[dict[str, Any]]:
        """The history of drift checks, the newest first."""
        if not self.database.exists():
            return []
        done = self.said("history", "list", "--command", "drift", "--format", "json")
        runs: list[dict[str, Any]] = json.loads(done.out)["runs"]
        return runs

    def remembered(self) -> list[tuple[Any, ...]]:
        """What the store knows of hosts."""
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            return [row for table in ("hosts", "changes", "differences") for row in db.execute(f"SELECT * FROM {table}")]

    @contextlib.contextmanager
    def copied(self) -> Iterator[Nights]:
        """The same with a copy of the store, or none where there is none."""
        copy = self.store.with_name("copy")
        if self.store.exists():
            shutil.copytree(self.store, copy)
        yield replace(self, store=copy)
        shutil.rmtree(copy)

    def points(self, kinds: Sequence[str], between: int) -> list[str]:
        """Where to kill it: the first and the last that a whole check comes by of each kind, and a seeded few between."""
        with self.copied() as copy:
            did = json.loads(copy.ended(2).rpartition("did ")[2])
        few = {kind: random.Random(SEED).sample(range(2, did[kind]), between) for kind in kinds}
        return [f"{kind} {number}" for kind in kinds for number in (1, *few[kind], did[kind])]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """Applied; then somebody changed a rule, which a night has seen, then another."""
    folder = tmp_path_factory.mktemp("practice")
    with night_in(folder) as night, pytest.MonkeyPatch.context() as patch:
        patch.setenv(PASSWORD, servers.PASSWORD)
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        state, made = night.box("db1").state, Nights(night, folder / "store")
        assert made.said("apply", "--yes", "-i", str(night.write())).code == 0
        list(tampering.tamper(state, ["rule"]))
        made.seen.update({id: first for id, (_, first) in made.checked().drift.items()})
        list(tampering.tamper(state, ["rule"]))
        yield made


@pytest.fixture
def known(nights: Nights) -> Iterator[Nights]:
    with nights.copied() as copy:
        yield copy


@pytest.fixture
def new(nights: Nights, tmp_path: Path) -> Nights:
    """With no store yet."""
    return replace(nights, store=tmp_path / "store", seen={})


def survives(nights: Nights, died: int = -signal.SIGKILL, kind: str = "corrective", **environment: object) -> None:
    """What is there after a check was killed is whole, and the next check knows no less than without it."""
    earlier = nights.runs()
    nights.ended(died, **environment)
    if nights.database.exists():
        assert nights.said("store", "check").code == 0
    killed = nights.runs()
    newer = killed[: len(killed) - len(earlier)]
    assert killed == [*newer, *earlier]
    done = nights.checked()
    assert done.code == 2, done.err
    last, *before = nights.runs()
    assert (before, bool(last["finished_at"])) == (killed, True)
    first = next((one["created_at"] for one in newer if one["finished_at"]), last["created_at"])
    assert done.drift == {rule: (kind, nights.seen.get(rule, first)) for rule in RULES}


def test_whatever_it_is_about_to_do(nights: Nights) -> None:
    for point in nights.points(("request", "statement", "step", "file"), between=1):
        with nights.copied() as copy:
            survives(copy, AT=point)


def test_where_there_was_no_store_yet(new: Nights) -> None:
    for point in new.points(("step", "file"), between=1):
        with new.copied() as copy:
            survives(copy, kind="never_applied", AT=point)


@pytest.mark.parametrize("size", sorted(random.Random(SEED).sample(range(INDEX, LOG), 4)))
def test_in_the_middle_of_a_write(size: int, new: Nights) -> None:
    """The kernel lets its first part through: the log ends with a piece of a page."""
    survives(new, -signal.SIGXFSZ, "never_applied", BEYOND=size)


def test_a_night_that_was_being_written_down_never_ended(known: Nights) -> None:
    survives(known, AT_WORD="INSERT OR IGNORE INTO desired")
    lines = known.said("history", "list", "--command", "drift").out.splitlines()
    assert ["never ended" in line for line in lines] == [False, True, False]
    assert "never ended, or under way: " in known.said("store", "check").out


def test_what_a_night_saw_is_written_down_with_its_end_or_not_at_all(known: Nights) -> None:
    """Killed between the two, it has seen nothing: else a difference would have begun in a night that never ended."""
    before = known.remembered()
    known.ended(-signal.SIGKILL, AT_WORD="UPDATE runs SET finished_at")
    assert known.remembered() == before
    assert known.checked().code == 2
    assert known.remembered() != before


# ---------------------------------------------------------------- telling people


@pytest.fixture
def box(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postbox]:
    """Who is told, of commands in this process and of those in another."""
    with postbox() as box:
        config = str(named(nights.night.folder, box.url))
        monkeypatch.setenv("OPDEPLOY_CONFIG", config)
        monkeypatch.setitem(nights.night.environment, "OPDEPLOY_CONFIG", config)
        yield box


def test_while_people_are_told_they_are_told_the_next_night(known: Nights, box: Postbox) -> None:
    process: list[subprocess.Popen[str]] = []
    with socket_that(lambda _: process[0].kill()) as port:
        named(known.night.folder, f"json://127.0.0.1:{port}/")
        process.append(known.night.start("drift", "check", "--store", str(known.store)))
        process[0].communicate(timeout=60)
    assert process[0].returncode == -signal.SIGKILL
    named(known.night.folder, box.url)
    (killed, *_) = known.runs()
    assert killed["exit_code"] == 2, "what it saw was written down before"
    assert known.checked().drift == {rule: ("corrective", known.seen.get(rule, killed["created_at"])) for rule in RULES}
    (message,) = box.taken()
    assert [f"- db1: {rule} (" in message["message"] for rule in RULES] == [True, True]
    assert f"(process {process[0].pid}), did not come to its end" in message["message"]


def test_told_and_not_noted_is_told_twice_rather_than_never(known: Nights, box: Postbox) -> None:
    survives(known, AT_WORD="UPDATE runs SET findings")
    messages = [said["message"] for said in box.taken()]
    assert [f"- db1: {rule} (" in said for said in messages for rule in RULES] == [True] * 4
    known.checked()
    assert box.taken() == []


# ---------------------------------------------------------------- a broken store

BROKEN = b"this is no database, or no longer\n" * 100
LEFT = b"left by a process that was killed"
SETTING_ASIDE = {
    "before anything was moved": "os.link {}-wal",
    "before it was moved": "os.rename {}",
    "before its log was taken away": "os.remove {}-wal",
    "before the index of its log was taken away": "os.remove {}-shm",
    "before there is a new one": "open {}",
    "while the new one is made": "CREATE TABLE known",
    "before the night is written down": "INSERT INTO runs",
    "while it is": "INSERT OR IGNORE INTO desired",
    "before people are told": "SELECT json_extract(findings",
}


@pytest.mark.parametrize("moment", SETTING_ASIDE)
def test_while_a_broken_store_is_set_aside(moment: str, known: Nights, box: Postbox) -> None:
    """It is kept whole with its log, and people hear of it."""
    for end, content in (("", BROKEN), ("-wal", LEFT), ("-shm", LEFT)):
        Path(f"{known.database}{end}").write_bytes(content)
    known.ended(-signal.SIGKILL, AT_WORD=SETTING_ASIDE[moment].format(known.database))
    done = known.checked()
    (aside,) = database.aside(known.store)
    assert [Path(f"{aside}{end}").read_bytes() for end in ("", "-wal")] == [BROKEN, LEFT]
    assert (done.code, "the run store was broken" in done.err) == (1, True)
    (message,) = box.taken()
    assert "- the run store was broken, and a new one begins\n" in message["message"]
    assert known.said("store", "check").code == 0
    assert known.checked().code == 2
