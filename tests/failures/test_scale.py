"""Thirty hosts in one run go side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from night import Night

pytestmark = pytest.mark.slow
HOSTS = 30


def test_thirty_hosts_are_read_at_the_same_time(night: Night) -> None:
    """Each answers its first operation only when all the others are asked theirs: one after another, none would."""
    together = threading.Barrier(HOSTS)

    def first_of(asked: list[object]) -> Callable[[object], None]:
        def heard(entry: object) -> None:
            if getattr(entry, "action", "") and not asked:
                asked.append(entry)
                together.wait(30)

        return heard

    for number in range(HOSTS):
        night.box(f"h{number:02}").server._on_request = first_of([])
    planned = night.run("plan")
    assert not together.broken
    assert f"{HOSTS} hosts: {HOSTS} with changes" in planned.out
    assert night.shells() == 0
