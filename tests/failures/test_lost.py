"""A host that goes away in the middle: what was under way is said, the rest is not reached, and nobody waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from labs import Box
from night import Night

pytestmark = pytest.mark.slow


def at_operation(box: Box, number: int, do: Callable[[], object]) -> list[str]:
    """Does this while the host answers its n-th operation; gives what it was asked from then on."""
    answered: list[str] = []
    after: list[str] = []

    def heard(entry: object) -> None:
        action = getattr(entry, "action", "")
        answered.extend(filter(None, [action]))
        if len(answered) >= number:
            after.append(action)
            do()

    box.server._on_request = heard
    return after


def outcomes(night: Night, *command: str) -> list[str]:
    done = night.run(*command, "--format", "json")
    assert done.code == 1
    return [resource["outcome"] for resource in done.host("bad")["resources"]]


@pytest.mark.parametrize("number", [9, 10], ids=["at the write", "at its answer"])
def test_a_host_that_is_gone_is_asked_no_more(number: int, night: Night) -> None:
    made = night.box("bad")
    night.box("good")

    def leave() -> None:
        made.server.settings.refuse_logon = True
        made.server.drop_connections()

    at_operation(made, number, leave)
    done = night.run("apply", "--yes")
    assert done.code == 1
    assert "may or may not have happened (the next apply reads first)" in done.out
    assert done.out.count("not reached: the session was lost before its turn") == 2
    assert "3 applied" in done.out.split("\ngood")[1]


def test_one_broken_connection_loses_no_more_than_its_own_change(night: Night) -> None:
    made = night.box("bad")
    dropped = threading.Event()

    def drop_once() -> None:
        if not dropped.is_set():
            dropped.set()
            made.server.drop_connections()

    at_operation(made, 9, drop_once)
    assert outcomes(night, "apply", "--yes") == ["failed", "applied", "applied"]
    assert night.run("apply", "--yes").code == 0
    assert night.run("plan").code == 0


def test_a_host_that_falls_silent_gets_one_chance_to_end_its_shell(night: Night) -> None:
    made = night.box("bad", ansible_winrm_operation_timeout_sec=1, ansible_winrm_read_timeout_sec=2)
    silence = threading.Event()
    night.stack.callback(silence.set)
    after = at_operation(made, 9, silence.wait)
    assert outcomes(night, "apply", "--yes") == ["failed", "not_reached", "not_reached"]
    assert len(after) == 3  # the write, the end of its command, one more logon
