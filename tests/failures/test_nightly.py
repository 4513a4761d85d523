"""A drift check with nobody there, on hosts that misbehave: it ends in time, tidily, and has said what it could not read."""

from __future__ import annotations

import signal

import pytest
from night import Night

pytestmark = pytest.mark.slow
NO_TIME_TO_WAIT = ("--budget", "1m")  # a second try comes at once
SAYS_THAT_IT_PAUSES = """
import sys
from opdeploy.__main__ import main
from opdeploy.engine import fleet

def pause(seconds, pause=fleet.pause):
    print("pauses", seconds, file=sys.stderr, flush=True)
    pause(seconds)

fleet.pause = pause
main()
"""


def test_a_host_that_takes_longer_than_its_time_is_left_with_its_session_closed(night: Night) -> None:
    stuck = night.box("stuck")
    stuck.server.settings.latency = 0.4  # each of its dozen POSTs
    done = night.run("drift", "check", "--host-budget", "1s", *NO_TIME_TO_WAIT)
    assert done.code == 3
    assert "  not read within 1s\n" in done.out
    assert "could not be read: stuck (exit code 3)" in done.err
    assert night.shells() == 0


def test_when_the_runs_time_is_up_it_ends_tidily(night: Night) -> None:
    stuck = night.box("stuck")
    stuck.server.settings.latency = 0.4
    done = night.run("drift", "check", "--budget", "1s")
    assert done.code == 3
    assert "  not read to its end: the run's time, 1s, was up\n" in done.out
    assert night.shells() == 0


def test_a_refused_logon_is_tried_once(night: Night) -> None:
    made = night.box("bad")
    made.server.settings.refuse_logon = True
    night.run("plan")
    once = len(made.server.log)
    night.run("drift", "check")
    assert len(made.server.log) == 2 * once


def test_a_refused_account_of_a_domain_is_tried_on_one_host(night: Night) -> None:
    made = [night.box(name, ansible_user="PRACTICE\\opadmin") for name in ("db1", "ts1", "app1")]
    made[0].server.settings.refuse_logon = True
    done = night.run("drift", "check", "--format", "json")
    assert done.code == 3
    assert "login refused for PRACTICE\\opadmin" in done.host("db1")["error"]
    for name in ("ts1", "app1"):
        told = done.host(name)
        assert told["error"] == "not tried: db1 did not take the password of PRACTICE\\opadmin"
        assert (told["status"], told["details"]) == ("unreachable", [])
    assert [bool(box.server.log) for box in made] == [True, False, False]


def test_who_ends_it_while_it_pauses_ends_it(night: Night) -> None:
    made = night.box("db1")
    process = night.start("drift", "check", "--jitter", "7d")
    assert process.stderr
    assert "begins in" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (143, False)
    assert not made.server.log


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_ends_it_before_the_second_try_ends_it(number: int, code: int, night: Night) -> None:
    night.host("gone", 1)
    process = night.start("drift", "check", program=("-c", SAYS_THAT_IT_PAUSES))
    assert process.stderr
    assert process.stderr.readline() == "pauses 60.0\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, "Traceback" in err) == (code, "", False)
