"""Who may answer the agent's verbs: the lab's model, a real PowerShell engine over pipes, a live server. One face, `ask`."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from opdeploy.calls import SKIPPED, Answer, Call, Failure
from opdeploy.model import Secret
from opdeploy.windows import agent, wire

NO_ENGINE = "no PowerShell engine here: put pwsh on the PATH or name it in OPDEPLOY_PWSH"
PATIENCE = 120.0  # seconds, for one engine and all that it is asked


class Port(Protocol):
    def ask(self, calls: Sequence[Call], writes: int = 0) -> list[Answer]: ...


class Pipe:
    """The wire's lines over any pair of pipes, with nothing of WinRM about it.

    `said` holds the lines that the last request was answered with."""

    def __init__(self, send: Callable[[bytes], object], receive: Callable[[], bytes], write: bool) -> None:
        self._send = send
        self._receive = receive
        self._lines = wire.Lines()
        self._number = 0
        self.said: list[wire.Line] = []
        send(f"{agent.source(write)}.\n".encode())

    def ask(self, calls: Sequence[Call], writes: int = 0) -> list[Answer]:
        self._number += 1
        return self.ask_line(wire.request(self._number, calls, writes).text, len(calls))

    def ask_line(self, text: str, count: int = 0) -> list[Answer]:
        self._send(text.encode("ascii"))
        answers: list[Answer] = [Failure("not tried", id=SKIPPED)] * count
        self.said = []
        while True:
            for line in self._lines.feed(self._receive()):
                self.said.append(line)
                if isinstance(line, wire.Done | wire.NotRead):
                    return answers
                if isinstance(line, wire.Reply):
                    answers[line.call] = line.answer


@contextmanager
def model(write: bool = True) -> Iterator[Port]:
    """The lab's database server, in this process."""
    from opdeploy.lab.windows import servers
    from opdeploy.lab.windows.computer import Computer

    computer = Computer(servers.database_server())
    account = computer.logon(servers.ADMIN, None)
    assert account is not None
    process = computer.start(agent.command_line(), account, skip_cmd=False)

    def receive() -> bytes:
        return b"".join(data for stream, data in process.output.take(1 << 20, 20).pieces if stream == "stdout")

    yield Pipe(lambda data: process.feed(data, end=False), receive, write)
    process.terminate()


def engine_path() -> str | None:
    return os.environ.get("OPDEPLOY_PWSH") or shutil.which("pwsh")


@contextmanager
def engine(raw: bool = False, write: bool = True) -> Iterator[Port]:
    """A real PowerShell, on whatever system this is: it has no Windows behind it. One that falls silent is ended."""
    command = [str(engine_path()), "-NoProfile", "-NonInteractive", "-Command", agent.loader(raw)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        ending = threading.Timer(PATIENCE, process.kill)
        ending.daemon = True
        ending.start()

        def send(data: bytes) -> None:
            process.stdin.write(data)
            process.stdin.flush()

        def receive() -> bytes:
            data = process.stdout.readline()
            assert data, "the engine ended"
            return data

        try:
            yield Pipe(send, receive, write)
            process.stdin.close()
            process.wait()
        finally:
            ending.cancel()


@contextmanager
def live(write: bool = True) -> Iterator[Port]:
    """A real server: OPDEPLOY_LIVE_HOST, _USER, _PASSWORD, and for another listener than NTLM over HTTP _HTTPS=1."""
    from opdeploy.windows import session, winrs

    https = os.environ.get("OPDEPLOY_LIVE_HTTPS") == "1"
    target = winrs.Target(
        address=os.environ["OPDEPLOY_LIVE_HOST"],
        https=https,
        port=5986 if https else 5985,
        user=os.environ.get("OPDEPLOY_LIVE_USER", "Administrator"),
        password=Secret(os.environ.get("OPDEPLOY_LIVE_PASSWORD", ""), "env:OPDEPLOY_LIVE_PASSWORD"),
    )
    with session.open(target, write=write) as opened:
        yield opened
