"""The real command over several nights: what the people hear whom the controller's configuration names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from night import ROLES, Night, Said, night_in, socket_that
from postbox import TOKEN, Postbox, named, postbox

from opdeploy.lab.windows import servers

pytestmark = pytest.mark.slow
FREE_PORT = 1  # nobody listens there


@dataclass
class Practice:
    """One host, `db1`, and who is told of it."""

    night: Night
    box: Postbox

    def check(self, *arguments: str) -> tuple[Said, list[dict[str, str]]]:
        """One night: what the command said, and what arrived."""
        done = self.night.run("drift", "check", *arguments)
        assert TOKEN not in done.out + done.err
        return done, self.box.taken()

    def rules(self, *names: str) -> None:
        """What the inventory asks of db1 from now on."""
        wanted = {name: rule for name, rule in ROLES["firewall"]["rules"].items() if name in names}
        self.night.hosts["db1"]["firewall"] = {"rules": wanted}

    def stored(self) -> bytes:
        return b"".join(path.read_bytes() for path in (self.night.folder / "state").rglob("*") if path.is_file())


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[Practice]:
    with night_in(tmp_path) as night, postbox() as box:
        night.box("db1")
        tell(night, box.url)
        yield Practice(night, box)


def tell(night: Night, *urls: str) -> None:
    """These are told from now on."""
    night.environment["OPDEPLOY_CONFIG"] = str(named(night.folder, *urls))


def test_nights(practice: Practice) -> None:
    """New, the same, one more, one settled, unreachable twice, back as it was."""
    practice.rules("OP-Web-In")
    done, (first,) = practice.check()
    assert (done.code, first["type"]) == (2, "warning")
    assert "- db1: firewall_rule/OP-Web-In (" in first["message"]
    assert "address" not in done.err
    assert practice.check()[1] == []

    practice.rules("OP-Web-In", "OP-Update-In")
    _, (more,) = practice.check()
    assert "OP-Update-In" in more["message"]
    assert "OP-Web-In" not in more["message"]
    assert "as before: 1" in more["message"]

    practice.rules("OP-Update-In")
    _, (settled,) = practice.check()
    assert settled["type"] == "info"
    assert settled["message"].startswith("settled:\n- db1: firewall_rule/OP-Web-In (")

    up = practice.night.hosts["db1"]["ansible_port"]
    practice.night.hosts["db1"]["ansible_port"] = FREE_PORT
    for _ in range(2):
        done, (down,) = practice.check("--budget", "1m")  # no time to wait before a second try
        assert (done.code, down["type"]) == (3, "failure")
        assert down["message"].startswith("could not be read:\n- db1: unreachable: ")
        assert "exit code 3" in down["message"]

    practice.night.hosts["db1"]["ansible_port"] = up
    _, (back,) = practice.check()
    assert back["message"].startswith("read again:\n- db1\nas before: 1\n")
    assert practice.check()[1] == []
    for secret in (TOKEN, servers.PASSWORD):
        assert secret.encode() not in practice.stored()
        assert not [said for said in (first, more, settled, down, back) if secret in json.dumps(said)]


def test_a_check_that_failed_is_told_with_the_place_and_nothing_of_the_inventory(practice: Practice) -> None:
    practice.night.hosts["db1"]["firewall"] = {"rules": {"OP-Web-In": {"direction": "sideways-to-hell"}}}
    for _ in range(2):
        done, (told,) = practice.check()
        assert done.code == 64
        assert (told["title"], told["type"]) == ("opdeploy: the drift check failed (inventory)", "failure")
        assert "the inventory is wrong: inventory/hosts.yml:" in told["message"]
        assert "sideways-to-hell" in done.err
        assert "sideways-to-hell" not in told["message"]


def test_an_inventory_that_is_not_there_is_told(practice: Practice) -> None:
    for arguments, name in ((("-i", "elm-street"), "elm-street"), ((), "no inventory")):
        code, err = said(practice.night, "check", *arguments)
        assert code == 64, err
        (told,) = practice.box.taken()
        assert (told["title"], told["type"]) == (f"opdeploy: the drift check failed ({name})", "failure")


def test_a_check_that_is_ended_from_outside_is_told(practice: Practice) -> None:
    reached = threading.Event()
    with socket_that(lambda connection: reached.set()) as port:
        practice.night.hosts["db1"]["ansible_port"] = port
        process = practice.night.start("drift", "check")
        assert reached.wait(60)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert [said["message"].splitlines()[0] for said in practice.box.taken()] == ["it was ended from outside"]


def test_what_did_not_arrive_is_said_makes_1_and_is_told_the_next_night(practice: Practice) -> None:
    practice.box.status = 503
    done, _ = practice.check()
    assert done.code == 1
    assert "error: nobody was told at address 1 (file:address-0): the service answered with HTTP status 503\n" in done.err
    practice.box.status = 200
    done, (told,) = practice.check()
    assert done.code == 2
    assert "OP-Web-In" in told["message"]


def test_a_run_store_that_was_set_aside_is_told(practice: Practice) -> None:
    practice.check()
    (store,) = (practice.night.folder / "state").rglob("runs.sqlite3")
    store.write_bytes(b"no database" * 1000)
    done, (told,) = practice.check()
    assert (done.code, told["type"]) == (1, "failure")
    assert told["message"].startswith("went wrong:\n- the run store was broken, and a new one begins\n")
    assert "\nexit code 1; " in told["message"]


def test_one_host_is_not_taken_for_all(practice: Practice) -> None:
    practice.night.box("ts1")
    _, (part,) = practice.check("--limit", "ts1")
    assert "db1" not in part["message"]
    _, (whole,) = practice.check()
    assert "- db1: " in whole["message"]
    assert "- ts1: " in whole["message"]
    assert practice.check("--limit", "ts1")[1] == []
    _, (role,) = practice.check("--role", "firewall")
    assert "- db1: " in role["message"]


def test_nobody_is_told_where_that_was_said_or_nobody_is_named(practice: Practice) -> None:
    done, arrived = practice.check("--no-notify")
    assert (done.code, arrived) == (2, [])
    del practice.night.environment["OPDEPLOY_CONFIG"]
    practice.night.environment["XDG_CONFIG_HOME"] = str(practice.night.folder)
    done, arrived = practice.check()
    assert (done.code, arrived) == (2, [])
    assert "told" not in done.err


def test_the_test_message(practice: Practice) -> None:
    night = practice.night
    assert said(night, "notify-test") == (0, "1 of 1 addresses took the test message\n")
    assert practice.box.taken()[0]["title"] == "opdeploy: a test"
    tell(night, f"slack://{TOKEN}", practice.box.url)
    code, err = said(night, "notify-test")
    assert (code, len(practice.box.taken())) == (1, 1)
    assert "address 1 (file:address-0): it is no address that apprise knows" in err
    assert err.endswith("\n1 of 2 addresses took the test message\n")
    assert TOKEN not in err
    tell(night)
    code, err = said(night, "notify-test")
    assert (code, "nobody is named to be told" in err) == (64, True)


def said(night: Night, *arguments: str) -> tuple[int, str]:
    """A command that names no inventory: its exit code and what stderr got."""
    environment = {**os.environ, **night.environment, "XDG_STATE_HOME": str(night.folder / "state")}
    command = [sys.executable, "-m", "opdeploy", "drift", *arguments]
    done = subprocess.run(command, cwd=night.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr
