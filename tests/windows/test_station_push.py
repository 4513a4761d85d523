"""A file of the controller's among other writes: in order, in pieces, gone on with where it was cut, and right or not there."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lab_asking import agent_source
from labs import box

from opdeploy.calls import SESSION_LOST, Answer, Call, Failure, Write, cmdlet_write, file_append, file_push, file_stat
from opdeploy.lab.windows import files as lab_files
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import State, dump, load
from opdeploy.model import HostError, OpdeployError
from opdeploy.store import Store
from opdeploy.windows import files, sending, session
from opdeploy.windows.station import Records, Station, batches
from opdeploy.windows.targets import of_connection
from opdeploy.windows.winrs import Counters, Limits, Target

PIECE = 1000
PATH = r"C:\op.msi"
CONTENT = bytes(range(256)) * 20  # five pieces and a bit
OTHER = CONTENT[::-1]
SOURCE = agent_source()


@dataclass
class Line:
    """Sessions with a simulated machine without WS-Man. `cut`: what becomes of the n-th piece, by n; `spoilt`: of each."""

    computer: Computer = field(default_factory=lambda: Computer(servers.bare()))
    cut: dict[int, Callable[[Line, Call], list[Answer]]] = field(default_factory=dict)
    spoilt: bool = False
    asked: list[Call] = field(default_factory=list)
    requests: list[list[str]] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    def open(self, target: Target, **given: object) -> Any:
        return self

    def ask(self, calls: Sequence[Call], *, writes: int = 0, deadline: float | None = None) -> list[Answer]:
        self.requests.append([call.verb for call in calls])
        self.asked += calls
        if calls[:1] and calls[0].verb == "file.append" and len(self.sent()) in self.cut:
            return self.cut[len(self.sent())](self, calls[0])
        if self.spoilt:
            calls = [self.spoil(call) for call in calls]
        return self.computer.ask(calls, writes, source=SOURCE)

    def spoil(self, call: Call) -> Call:
        return file_append(call.args["path"], call.args["offset"], b"") if call.verb == "file.append" else call

    def close(self) -> None:
        pass

    def sent(self) -> list[tuple[int, int]]:
        """Every piece that left: offset and length."""
        return [(call.args["offset"], len(call.args["bytes"])) for call in self.asked if call.verb == "file.append"]

    def verbs(self) -> list[str]:
        return [call.verb for call in self.asked]

    def content(self, path: str = PATH) -> bytes | None:
        entry = lab_files.find(self.computer.state, path)
        return None if entry is None else lab_files.data(entry)

    def put(self, path: str, content: bytes) -> None:
        lab_files.put_file(self.computer.state, path, "S-1-5-32-544", content)


def not_taken(line: Line, call: Call) -> list[Answer]:
    return [Failure("the connection broke", id=SESSION_LOST)]


def taken(line: Line, call: Call) -> list[Answer]:
    line.computer.ask([call], 1, source=SOURCE)
    return not_taken(line, call)


def out_of_reach(line: Line, call: Call) -> list[Answer]:
    raise HostError("no connection")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PIECE", PIECE)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def station(line: Line, tmp_path: Path) -> Station:
    records = Records(Store.open(tmp_path / "store"), "db1")
    return Station(Target("db1"), records, opener=line.open, pause=lambda seconds: None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "op.msi"
    path.write_bytes(CONTENT)
    return path


def push(source: Path, path: str = PATH, content: bytes = CONTENT) -> Write:
    return file_push(path, str(source), hashlib.sha256(content).hexdigest(), len(content))


def pieces(first: int = 0) -> list[tuple[int, int]]:
    return [(offset, len(CONTENT[offset : offset + PIECE])) for offset in range(first, len(CONTENT), PIECE)]


# ---------------------------------------------------------------- among other writes


def test_order_is_kept_and_reads_go_with_the_last_request(station: Station, line: Line, source: Path) -> None:
    folder = cmdlet_write("New-Item", ItemType="Directory", Path=r"C:\OP")
    path, stop = r"C:\OP\op.msi", cmdlet_write("Stop-Service", Name="Spooler")
    assert station.write([folder, push(source, path), stop], [file_stat(path)]) == []
    assert [verb for verb in line.verbs() if verb.split(".")[1] not in ("append", "stat")] == [
        "cmdlet.write", "file.commit", "cmdlet.write",
    ]  # fmt: skip
    assert line.requests[0] == ["cmdlet.write"]
    assert line.requests[-1] == ["cmdlet.write", "file.stat"]
    assert station.observation[file_stat(path).key]["size"] == len(CONTENT)


def test_what_stands_behind_it_is_read_after_it(station: Station, line: Line, source: Path) -> None:
    assert station.write([push(source)], [file_stat(PATH)]) == []
    assert line.requests[-2:] == [["file.commit"], ["file.stat"]]
    assert station.observation[file_stat(PATH).key]["size"] == len(CONTENT)


def test_a_failed_file_ends_what_follows(station: Station, line: Line, source: Path) -> None:
    (failure,) = station.write([push(source, r"C:\none\op.msi"), cmdlet_write("Stop-Service", Name="Spooler")], [])
    assert "DirectoryNotFound" in failure.type + failure.id
    assert line.verbs().count("file.append") == 1
    assert "cmdlet.write" not in line.verbs()


def test_a_failure_before_it_ends_it(station: Station, line: Line, source: Path) -> None:
    assert len(station.write([cmdlet_write("Stop-Service", Name="None"), push(source)], [])) == 1
    assert line.verbs() == ["cmdlet.write"]


def test_a_file_is_a_batch_of_its_own(source: Path) -> None:
    one, other = cmdlet_write("Stop-Service", Name="a"), cmdlet_write("Start-Service", Name="a")
    assert batches([one, one, push(source), other]) == [[one, one], [push(source)], [other]]
    assert batches([push(source), push(source)]) == [[push(source)], [push(source)], []]


def test_each_piece_is_sent_once_and_none_is_kept(station: Station, line: Line, source: Path) -> None:
    station.write([push(source)], [])
    assert line.content() == CONTENT
    assert line.sent() == pieces()
    assert set(station.observation) == {file_stat(PATH).key, file_stat(PATH + ".opdeploy").key}


def test_an_empty_file_arrives_too(station: Station, line: Line, source: Path) -> None:
    source.write_bytes(b"")
    assert station.write([push(source, content=b"")], []) == []
    assert line.content() == b""


def test_it_is_told_how_far_it_is(station: Station, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MB", 2000)
    told: list[str] = []
    station.told = told.append
    station.write([push(source)], [])
    assert told == ["1 of 3 MB", "1 of 3 MB", "2 of 3 MB", "2 of 3 MB", "3 of 3 MB", "3 of 3 MB"]


# ---------------------------------------------------------------- what is there already


def test_the_same_file_is_not_sent_again(station: Station, line: Line, source: Path) -> None:
    line.put(PATH, CONTENT)
    assert station.write([push(source)], []) == []
    assert set(line.verbs()) == {"file.stat"}


def test_another_file_of_its_size_is_replaced(station: Station, line: Line, source: Path) -> None:
    line.put(PATH, OTHER)
    assert station.write([push(source)], []) == []
    assert line.content() == CONTENT


def test_a_file_of_another_size_is_not_hashed(station: Station, line: Line, source: Path) -> None:
    line.put(PATH, CONTENT + b"more")
    station.write([push(source)], [])
    assert not any(call.args.get("hash") for call in line.asked)
    assert line.content() == CONTENT


@pytest.mark.parametrize(
    ("arrived", "first"), [(3000, 3000), (3500, 3000), (len(CONTENT), len(CONTENT))], ids=["whole pieces", "part of one", "all"]
)
def test_what_a_cut_run_left_is_gone_on_with(arrived: int, first: int, station: Station, line: Line, source: Path) -> None:
    line.put(PATH + ".opdeploy", CONTENT[:arrived])
    assert station.write([push(source)], []) == []
    assert line.sent() == pieces(first)
    assert line.content() == CONTENT
    assert line.content(PATH + ".opdeploy") is None


def test_a_piece_longer_than_the_file_is_none_of_its(station: Station, line: Line, source: Path) -> None:
    line.put(PATH + ".opdeploy", CONTENT + b"x")
    assert station.write([push(source)], []) == []
    assert line.sent() == pieces()


def test_another_files_piece_costs_one_more_beginning(station: Station, line: Line, source: Path) -> None:
    line.put(PATH + ".opdeploy", OTHER[:3000])
    assert station.write([push(source)], []) == []
    assert line.sent() == [*pieces(3000), *pieces()]
    assert line.content() == CONTENT


def test_a_hash_that_stays_wrong_is_a_failure(station: Station, line: Line, source: Path) -> None:
    source.write_bytes(CONTENT[:PIECE])
    line.spoilt = True
    (failure,) = station.write([push(source, content=CONTENT[:PIECE])], [])
    assert failure.id == sending.BAD_HASH
    assert line.verbs().count("file.commit") == 2
    assert line.content() is None


# ---------------------------------------------------------------- cut in the middle


@pytest.mark.parametrize(
    ("how", "again"), [(not_taken, [(1000, 1000)]), (taken, []), (out_of_reach, [(1000, 1000)])],
    ids=["not taken", "taken", "out of reach"],
)  # fmt: skip
def test_a_cut_costs_no_more_than_its_piece(
    how: Callable[[Line, Call], list[Answer]], again: list[tuple[int, int]], station: Station, line: Line, source: Path
) -> None:
    line.cut = {2: how}
    assert station.write([push(source)], []) == []
    assert line.sent() == [*pieces()[:2], *again, *pieces(2000)]
    assert line.content() == CONTENT
    assert not station.lost


def test_a_commit_whose_answer_was_lost_is_seen_on_the_host(station: Station, line: Line, source: Path) -> None:
    def ask(calls: Sequence[Call], **given: Any) -> list[Answer]:
        answers = Line.ask(line, calls, **given)
        return not_taken(line, calls[0]) if line.requests[-1] == ["file.commit"] else answers

    line.ask = ask  # type: ignore[method-assign]
    assert station.write([push(source)], []) == []
    assert line.verbs().count("file.commit") == 1
    assert line.content() == CONTENT


def test_a_piece_that_an_old_session_writes_late_is_made_good(station: Station, line: Line, source: Path) -> None:
    def late(line: Line, call: Call) -> list[Answer]:
        line.computer.ask([file_append(PATH, 0, CONTENT[:PIECE])], 1, source=SOURCE)
        return line.computer.ask([call], 1, source=SOURCE)

    line.cut = {4: late}
    assert station.write([push(source)], []) == []
    assert line.sent() == [*pieces()[:4], *pieces(1000)]
    assert line.content() == CONTENT


def test_it_is_not_tried_for_ever(station: Station, line: Line, source: Path) -> None:
    line.cut = dict.fromkeys(range(2, 100), not_taken)
    (failure,) = station.write([push(source)], [])
    assert failure.id == SESSION_LOST
    assert line.sent() == [(0, 1000), *[(1000, 1000)] * (1 + sending.CHANCES[SESSION_LOST])]


# ---------------------------------------------------------------- the file here


def test_a_file_of_another_size_is_not_begun(station: Station, line: Line, source: Path) -> None:
    source.write_bytes(CONTENT[:-1])
    with pytest.raises(OpdeployError, match=r"op\.msi: not, or no longer, the file whose hash is") as raised:
        station.write([push(source)], [])
    assert raised.value.hint
    assert line.sent() == []


def test_a_file_that_changes_while_it_is_sent_gets_no_name(station: Station, line: Line, source: Path) -> None:
    def change(line: Line, call: Call) -> list[Answer]:
        source.write_bytes(OTHER)
        return line.computer.ask([call], 1, source=SOURCE)

    line.cut = {1: change}
    with pytest.raises(OpdeployError, match="no longer"):
        station.write([push(source)], [])
    assert "file.commit" not in line.verbs()


def test_a_file_that_shrinks_while_it_is_sent_is_noticed(station: Station, line: Line, source: Path) -> None:
    def shrink(line: Line, call: Call) -> list[Answer]:
        source.write_bytes(b"")
        return line.computer.ask([call], 1, source=SOURCE)

    line.cut = {1: shrink}
    with pytest.raises(OpdeployError, match="no longer"):
        station.write([push(source)], [])
    assert "file.commit" not in line.verbs()


def test_a_file_that_is_not_there_is_a_plain_error(station: Station, tmp_path: Path) -> None:
    with pytest.raises(OpdeployError, match=r"none\.msi: No such file or directory") as raised:
        station.write([push(tmp_path / "none.msi")], [])
    assert raised.value.hint


# ---------------------------------------------------------------- pyinfra's put_file


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize(
    "stream", [io.BytesIO(CONTENT), Pipe(CONTENT), io.StringIO("grün " * 999)], ids=["bytes", "pipe", "text"]
)
def test_any_stream_goes_up_the_same_way(stream: Any, station: Station, line: Line) -> None:
    expected = "grün ".encode() * 999 if isinstance(stream, io.StringIO) else CONTENT
    line.put(PATH + ".opdeploy", expected[:1500])
    files.put(station, stream, PATH)
    assert line.sent()[0] == (1000, 1000)
    assert line.content() == expected


def test_a_stream_that_can_not_be_put_is_a_plain_error(station: Station) -> None:
    with pytest.raises(OpdeployError):
        files.put(station, io.BytesIO(b"x"), r"C:\none\x")


# ---------------------------------------------------------------- over WS-Man


def test_a_long_push_outlives_its_shells(source: Path, tmp_path: Path) -> None:
    opened = functools.partial(session.open, settings=Limits(operations=6))
    with box(servers.bare()) as made:
        station = Station(of_connection(made.connection()), Records(Store.open(tmp_path / "store"), "db1"), opener=opened)
        assert station.write([push(source)], [file_stat(PATH, hash=True)]) == []
        station.close()
        assert station.observation[file_stat(PATH, hash=True).key]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
        assert made.count("Create") > 3
        assert made.shells() == 0


# ---------------------------------------------------------------- the lab


def test_a_file_that_grows_is_dumped_as_any_other(line: Line) -> None:
    line.computer.ask([file_append(PATH, 0, CONTENT[:7]), file_append(PATH, 5, CONTENT[5:])], 2, source=SOURCE)
    state: State = load(dump(line.computer.state))
    assert lab_files.data(lab_files.find(state, PATH + ".opdeploy") or {}) == CONTENT
    assert dump(state) == dump(line.computer.state)
