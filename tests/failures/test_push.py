"""A big file whose connection breaks in the middle, over real WS-Man: it arrives whole, and only the cut piece goes twice."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from labs import Box, box

from opdeploy.calls import file_push, file_stat
from opdeploy.lab.windows import files, servers
from opdeploy.store import Store
from opdeploy.windows import agent, sending
from opdeploy.windows.station import Records, Station
from opdeploy.windows.targets import of_connection

pytestmark = pytest.mark.slow

PATH = r"C:\op.msi"
CONTENT = random.Random(4).randbytes(3 * 1024 * 1024)
PIECE = 200 * 1024  # in base64 two Sends
WIRE = 16 / 9  # base64 in base64
ENVELOPE = 2000  # bytes around each Send
PUSH = "op.msi", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)


@pytest.fixture(autouse=True)
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sending, "PIECE", PIECE)
    Path("op.msi").write_bytes(CONTENT)


def station(made: Box, store: Store) -> Station:
    return Station(of_connection(made.connection()), Records(store, "db1"), pause=lambda seconds: None)


def arrived(made: Box) -> Counter[int]:
    """How often the host was given each piece, by its offset."""
    requests = [json.loads(line) for line in made.heard if line.startswith('{"id"')]
    calls = [call["args"] for request in requests for call in request["calls"] if call["verb"] == "file.append"]
    assert all(
        call["bytes"] == "#" + base64.b64encode(CONTENT[at : at + PIECE]).decode() for call in calls for at in [call["offset"]]
    )
    return Counter(call["offset"] for call in calls)


def content(made: Box) -> bytes:
    return files.data(files.find(made.state, PATH) or {"data": ""})


def sent(made: Box) -> int:
    """Bytes on the wire of all that went over stdin, the agent's source in each of three shells too."""
    return sum(entry.bytes_in for entry in made.server.log if entry.action == "Send")


def drop_once(made: Box, operation: str, number: int) -> threading.Event:
    """Breaks every connection at an operation after ten pieces, so that its answer is never seen; whether it did."""
    seen: list[str] = []
    dropped = threading.Event()

    def heard(entry: object) -> None:
        seen.extend([operation] if len(arrived(made)) == 10 and getattr(entry, "action", "") == operation else [])
        if len(seen) == number and not dropped.is_set():
            dropped.set()
            made.server.drop_connections()

    made.server._on_request = heard
    return dropped


@pytest.mark.parametrize(
    ("operation", "number", "again"), [("Send", 2, PIECE // 2), ("Send", 1, 0), ("Receive", 1, 0)],
    ids=["in the middle of a piece", "at a piece's end", "at its answer"],
)  # fmt: skip
def test_a_connection_that_breaks_costs_no_more_than_what_it_cut(
    operation: str, number: int, again: int, tmp_path: Path
) -> None:
    with box(servers.bare()) as made:
        dropped = drop_once(made, operation, number)
        here = station(made, Store.open(tmp_path / "store"))
        assert here.write([file_push(PATH, *PUSH)], [file_stat(PATH)]) == []
        here.close()
        assert dropped.is_set()
        assert content(made) == CONTENT
        assert arrived(made) == Counter(range(0, len(CONTENT), PIECE))
        assert sent(made) < WIRE * (len(CONTENT) + again + 3 * len(agent.source(write=True))) + ENVELOPE * made.count("Send")
        assert made.shells() == 0


def test_a_run_that_was_cut_off_is_gone_on_with_by_the_next(tmp_path: Path) -> None:
    class Cut(BaseException):
        """As Ctrl-C, or a controller that is gone."""

    def cut(text: str) -> None:
        if len(arrived(made)) == 10:
            raise Cut

    with box(servers.bare()) as made:
        store = Store.open(tmp_path / "store")
        first, second = station(made, store), station(made, store)
        first.told = cut
        with pytest.raises(Cut):
            first.write([file_push(PATH, *PUSH)], [])
        first.close()
        assert content(made) == b""
        assert second.write([file_push(PATH, *PUSH)], []) == []
        second.close()
        assert content(made) == CONTENT
        assert arrived(made) == Counter(range(0, len(CONTENT), PIECE))
