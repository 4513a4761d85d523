"""A host that goes away in the middle: what was under way is said, the rest is not reached, and nobody waits for long."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from labs import Box, box
from night import Night

from opdeploy import engine
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.agent import Agent
from opdeploy.model import ExitCode
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.store import Store
from opdeploy.windows import session

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


def test_a_read_that_hangs_is_the_only_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before it in the same request is asked again, since its answer was never sent; what came after too."""
    answer_all = Agent._answer_all

    def stuck(agent: Agent, id: object, calls: list[object], writes: int) -> None:
        if "Stuck" not in str(calls):
            answer_all(agent, id, calls, writes)

    monkeypatch.setattr(Agent, "_answer_all", stuck)
    monkeypatch.setattr(session, "Limits", functools.partial(session.Limits, deadline=1, first_answer=1))
    names = ["First", "Stuck", "Last"]
    values = [RegistryValue(hive="local_machine", path=rf"SOFTWARE\{name}", name="n", type="dword", data=1) for name in names]
    with box(servers.bare()) as made:
        (result,) = engine.plan([made.job(values)], Store.open(tmp_path))
        assert made.shells() == 0
    assert [item.change.verdict for item in result.items] == ["would_change", "unknown", "would_change"]
    assert "no answer within 1 s" in str(result.items[1].change.reason)
    assert result.code == ExitCode.UNKNOWN
