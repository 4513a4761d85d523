"""What ends a run ends its pauses too, whenever the signal comes."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator

import gevent
import pytest

from opdeploy.engine import pause


class Ended(Exception):
    pass


@pytest.fixture(autouse=True)
def _ended_by_sigterm() -> Iterator[None]:
    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


def in_the_hub(kill: Callable[[int, int], object]) -> None:
    gevent.get_hub().loop.run_callback(kill, os.getpid(), signal.SIGTERM)


def test_a_signal_between_the_look_for_one_and_the_wait_is_heard_before_the_pause_ends() -> None:
    in_the_hub(ctypes.PyDLL(None).kill)  # no line of Python after it: gevent waits before Python has heard of it
    with pytest.raises(Ended):
        pause(60)


def test_a_signal_heard_as_the_pause_ends_is_not_lost() -> None:
    in_the_hub(os.kill)
    with pytest.raises(Ended):
        pause(0)
