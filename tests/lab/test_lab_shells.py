"""Output: nothing is lost, nothing comes twice, nobody waits in vain."""

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.lab.faults import Fault
from opdeploy.lab.settings import Settings
from opdeploy.lab.shells import TERMINATED, Output, Shells, interrupt

LONG = 30.0
"""Seconds: no test waits for them, they only keep a broken one from hanging."""


@dataclass(frozen=True)
class Someone:
    name: str


@dataclass
class Idle:
    output: Output = field(default_factory=Output)
    terminated: int = 0

    def feed(self, data: bytes, end: bool) -> None: ...

    def terminate(self) -> None:
        self.terminated += 1


def code(call: object, *args: object) -> int:
    with pytest.raises(Fault) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.code


WRITES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=2000)), max_size=20)


@given(writes=WRITES, room=st.integers(min_value=Output.PIECE_COSTS + 1, max_value=5000))
@settings(max_examples=100, deadline=None)
def test_every_byte_is_handed_out_once_in_order_and_within_the_room(writes: list[tuple[str, bytes]], room: int) -> None:
    output = Output()
    for stream, data in writes:
        output.put(stream, data)
    output.end(3)
    pieces: list[tuple[str, bytes]] = []
    exit_code = None
    while exit_code is None:
        received = output.take(room, 0)
        assert sum(len(data) + Output.PIECE_COSTS for _, data in received.pieces) <= room
        pieces += received.pieces
        exit_code = received.exit_code
    flat = [(stream, byte) for stream, data in pieces for byte in data]
    assert flat == [(stream, byte) for stream, data in writes for byte in data]
    assert exit_code == 3


def in_thread(output: Output) -> tuple[threading.Thread, list[object]]:
    """A Receive that waits already when this returns."""
    results: list[object] = []

    def take() -> None:
        try:
            results.append(output.take(1000, LONG))
        except Fault as fault:
            results.append(fault.code)

    waiting = threading.Event()
    ready = output._ready

    def noticed() -> bool:
        waiting.set()
        return ready()

    output._ready = noticed  # type: ignore[method-assign]
    thread = threading.Thread(target=take)
    thread.start()
    assert waiting.wait(LONG)
    return thread, results


def test_a_receive_that_waits_wakes_at_the_first_output() -> None:
    output = Output()
    thread, results = in_thread(output)
    output.put("stdout", b"at last")
    thread.join(LONG)
    assert [received.pieces for received in results] == [(("stdout", b"at last"),)]  # type: ignore[attr-defined]


def test_a_receive_that_waits_wakes_at_the_end() -> None:
    output = Output()
    thread, results = in_thread(output)
    output.end(0)
    thread.join(LONG)
    assert [(received.pieces, received.exit_code) for received in results] == [((), 0)]  # type: ignore[attr-defined]


def test_a_newer_receive_ends_the_older_and_gets_all() -> None:
    output = Output()
    thread, results = in_thread(output)
    assert code(output.take, 1000, 0) == 0x80338029
    output.put("stdout", b"mine")
    assert output.take(1000, 0).pieces == (("stdout", b"mine"),)
    thread.join(LONG)
    assert results == [995]


def test_an_abandoned_receive_leaves_the_output_where_it_is() -> None:
    output = Output()
    thread, results = in_thread(output)
    output.abandon()
    output.put("stdout", b"kept")
    thread.join(LONG)
    assert results == [995]
    assert output.take(1000, 0).pieces == (("stdout", b"kept"),)


def test_an_interrupted_process_is_over_even_if_it_says_nothing() -> None:
    process = Idle()
    interrupt(process)
    assert process.output.take(1000, 0).exit_code == TERMINATED
    assert process.terminated == 1


def test_the_first_exit_code_counts() -> None:
    process = Idle()
    process.output.end(7)
    interrupt(process)
    assert process.output.exit_code == 7


def test_shells_are_counted_by_user_and_found_by_their_owner_only() -> None:
    shells = Shells(Settings(max_shells_per_user=2))
    one, two = Someone("one"), Someone("two")
    first = shells.create(one, 65001)
    shells.create(Someone("ONE"), 437)
    assert code(shells.create, one, 437) == 0x803381A5
    shells.create(two, 437)
    assert shells.find(one, first.id.lower()) is first
    assert code(shells.find, two, first.id) == 2150858843
    shells.delete(one, first.id)
    assert code(shells.delete, one, first.id) == 2150858843
    shells.create(one, 437)


def test_a_shell_takes_its_processes_with_it() -> None:
    shells = Shells(Settings())
    shell, process = shells.create(Someone("one"), 437), Idle()
    shell.commands["A"] = process
    shells.delete(shell.account, shell.id)
    assert (process.terminated, process.output.exit_code) == (1, TERMINATED)


def test_operations_are_never_counted_down() -> None:
    shell = Shells(Settings()).create(Someone("one"), 437)
    shell.count(2)
    shell.count(2)
    assert code(shell.count, 2) == 0x803381A6
    shell.count(3)
