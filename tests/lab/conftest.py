"""A tiny computer behind the lab's real front: it echoes, floods, exits, waits, and knows nothing of Windows."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from opdeploy.lab.certificates import Certificates, open_certificates
from opdeploy.lab.http import Server, serve
from opdeploy.lab.settings import Settings
from opdeploy.lab.shells import Around, Output

USER, PASSWORD = "Administrator", "p:ss wörd"


@dataclass(frozen=True)
class FakeAccount:
    name: str


class FakeProcess:
    """The command line's first word says what it does; every kind of process ends when it is told to terminate."""

    def __init__(self, computer: "FakeComputer", line: str) -> None:
        self.output = Output()
        self._word, _, self._rest = line.partition(" ")
        self._done = {
            "hostname": lambda: self._say(f"{computer.name}\r\n"),
            "echo": lambda: self._say(f"{self._rest}\r\n"),
            "both": self._both,
            "flood": lambda: self._say("x" * int(self._rest)),
            "exit": lambda: self.output.end(int(self._rest)),
            "broken": lambda: {}[self._rest],
        }.get(self._word)
        if self._done:
            self._done()

    def feed(self, data: bytes, end: bool) -> None:
        if self._word == "cat":
            self.output.put("stdout", data)
            if end:
                self.output.end(0)

    def terminate(self) -> None:
        self.output.end(1)

    def _say(self, text: str) -> None:
        self.output.put("stdout", text.encode())
        self.output.end(0)

    def _both(self) -> None:
        self.output.put("stdout", b"out")
        self.output.put("stderr", b"err")
        self.output.end(5)


@dataclass
class FakeComputer:
    name: str = "DB1"
    passwords: dict[str, str] = field(default_factory=lambda: {USER: PASSWORD})
    locked: set[str] = field(default_factory=set)
    started: list[tuple[str, bool, int]] = field(default_factory=list)
    processes: list[FakeProcess] = field(default_factory=list)

    def logon(self, user: str, password: str | None) -> FakeAccount | None:
        known = {name.casefold(): value for name, value in self.passwords.items()}
        if user.casefold() not in known or user in self.locked or password not in (None, known[user.casefold()]):
            return None
        return FakeAccount(user)

    def accounts_for_ntlm(self) -> list[tuple[str, str]]:
        return list(self.passwords.items())

    def start(self, command_line: str, account: FakeAccount, around: Around, *, skip_cmd: bool) -> FakeProcess:
        self.started.append((command_line, skip_cmd, around.codepage))
        if "missing.exe" in command_line:
            raise FileNotFoundError(command_line)
        encoded = re.search(r"-EncodedCommand (\S+)", command_line)
        line = base64.b64decode(encoded[1]).decode("utf-16-le") if encoded else command_line
        process = FakeProcess(self, "hostname" if "hostname" in line else line)
        self.processes.append(process)
        return process


@pytest.fixture
def computer() -> FakeComputer:
    return FakeComputer()


@pytest.fixture
def another_computer() -> FakeComputer:
    return FakeComputer(name="TS1", passwords={USER: "another"})


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return open_certificates(Path(tmp_path_factory.mktemp("ca")))


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """`serve`, and the server stopped after the test."""
    running: list[Server] = []

    def started(*args: object, **kwargs: object) -> Server:
        running.append(serve(*args, **kwargs))  # type: ignore[arg-type]
        return running[-1]

    yield started
    for server in running:
        server.stop()


@pytest.fixture
def server(start: Callable[..., Server], computer: FakeComputer) -> Server:
    """Plain HTTP as Windows has it: sealed bodies only."""
    return start(computer)


@pytest.fixture
def open_server(start: Callable[..., Server], computer: FakeComputer) -> Server:
    """Plain HTTP with AllowUnencrypted: Basic, readable on the wire."""
    return start(computer, settings=Settings(allow_unencrypted=True))


@pytest.fixture
def secure_server(start: Callable[..., Server], computer: FakeComputer, certificates: Certificates) -> Server:
    return start(computer, https=certificates)
