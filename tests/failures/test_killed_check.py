"""A drift check that is killed, wherever it was, leaves a store that opens; the next one is right, and nothing holds it up."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from night import Night

from opdeploy.lab import tampering
from opdeploy.store import database

pytestmark = pytest.mark.slow
SEED = 20261122
KILLS = 8

# The command, with a point before each statement of the store and each POST. It is killed at the one that it is told.
POINTED = """
import os, signal, sqlite3, sys
from opdeploy import __main__ as opdeploy

at, passed = int(os.environ["KILLED_AT"]), 0

def point(*_):
    global passed
    passed += 1
    if passed == at:
        os.kill(os.getpid(), signal.SIGKILL)

def connect(*given, connect=sqlite3.connect, **named):
    connection = connect(*given, **named)
    connection.set_trace_callback(point)
    return connection

def patch(patch=opdeploy._patch):
    patch()
    from requests.adapters import HTTPAdapter
    send = HTTPAdapter.send
    HTTPAdapter.send = lambda *given, **named: (point(), send(*given, **named))[1]

sqlite3.connect, opdeploy._patch = connect, patch
try:
    opdeploy.main()
finally:
    print(f"passed {passed}", file=sys.stderr)
"""


def killed_at(night: Night, point: int) -> subprocess.CompletedProcess[str]:
    night.environment["KILLED_AT"] = str(point)
    process = night.start("drift", "check", program=("-c", POINTED))
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def differences(night: Night) -> dict[str, Any]:
    done = night.run("drift", "check", "--format", "json")
    assert done.code == 2, done.err
    return {
        one["id"]: (one["drift"]["kind"], one["drift"]["first_seen"]) for one in done.host("db1")["resources"] if one["drift"]
    }


@pytest.fixture
def drifted(night: Night) -> Path:
    """A host that was applied, then changed by hand, and whose drift one night knows already; the store as it was then."""
    made = night.box("db1")
    assert night.run("apply", "--yes").code == 0
    list(tampering.tamper(made.state, ["rule"]))
    differences(night)
    shutil.copytree(night.folder / "state", night.folder / "as-it-was")
    return night.folder / "as-it-was"


def test_a_check_that_was_killed_leaves_a_store_that_opens_and_the_next_is_right(night: Night, drifted: Path) -> None:
    known = differences(night)
    whole = killed_at(night, 0)
    assert whole.returncode == 2
    points = int(whole.stderr.rpartition("passed ")[2])
    chosen = [1, *sorted(random.Random(SEED).sample(range(2, points), KILLS)), points]
    for point in chosen:
        shutil.rmtree(night.folder / "state")
        shutil.copytree(drifted, night.folder / "state")
        assert killed_at(night, point).returncode == -9, point
        path = night.folder / "state" / "opdeploy" / database.NAME
        assert database.damage(path) == "", point
        assert differences(night) == known, point
        with closing(sqlite3.connect(path)) as connection:
            ended = list(connection.execute("SELECT finished_at IS NOT NULL FROM runs WHERE command = 'drift' ORDER BY rowid"))
        assert ended[-1] == (1,), point
