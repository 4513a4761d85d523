"""A signal ends a run wherever it waits, and in the greenlet that began it.

gevent looks for signals before it waits for anything, and not while it does.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

import gevent

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LISTEN = 0.2  # seconds between two looks, where nothing else happens


@contextmanager
def interrupted_here() -> Iterator[None]:
    """What a signal raises comes to this greenlet: Python runs the handler in whichever is at work, perhaps one that closes."""
    here, hub = gevent.getcurrent(), gevent.get_hub()
    in_main = threading.current_thread() is threading.main_thread()
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS} if in_main else {}
    pending: list[BaseException] = []

    def heard(number: int, frame: FrameType | None) -> None:
        try:
            handlers[number](number, frame)
        except BaseException as raised:
            if gevent.getcurrent() is here:
                raise
            pending.append(raised)
            hub.loop.run_callback(throw)

    def throw() -> None:
        if pending:
            here.throw(pending.pop())

    taken = [number for number, handler in handlers.items() if callable(handler)]
    for number in taken:
        signal.signal(number, heard)
    try:
        with closing(hub.loop.timer(LISTEN, LISTEN)) as awake:
            awake.start(lambda: None)
            yield
    finally:
        for number in taken:
            signal.signal(number, handlers[number])
    if pending:  # heard as the wait ended: nobody goes back to the hub
        raise pending.pop()


def pause(seconds: float) -> None:
    """Waits; what ends a run ends this too."""
    with interrupted_here():
        gevent.sleep(seconds)
