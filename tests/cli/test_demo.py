"""The demo tells its story, and however it ends, no process and no file of it is left."""

from __future__ import annotations

import signal
import time

import pytest
from practice import Practice

from opdeploy.cli.demo import STORY

pytestmark = pytest.mark.slow
SECONDS = 60


def test_the_story(practice: Practice) -> None:
    before = sorted(practice.folder.iterdir())
    done = practice.run("demo")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("$ ")] == [
        f"$ opdeploy {' '.join(step.arguments)} -i inventories/lab" for step in STORY
    ]
    assert sorted(practice.folder.iterdir()) == before
    assert practice.processes() == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
@pytest.mark.parametrize("reached", ["lab up", "apply"])
def test_it_leaves_nothing_behind(practice: Practice, number: int, code: int, reached: str) -> None:
    before = sorted(practice.folder.iterdir())
    process = practice.start("demo")
    assert process.stdout
    while f"$ opdeploy {reached} " not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    assert process.returncode == code
    assert _gone(practice), practice.processes()
    assert sorted(practice.folder.iterdir()) == before


def _gone(practice: Practice) -> bool:
    """After kill -9 the janitor comes a moment later."""
    end = time.monotonic() + SECONDS
    while practice.processes() and time.monotonic() < end:
        time.sleep(0.05)
    return not practice.processes()
