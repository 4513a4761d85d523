"""One simulated machine as the WS-Man front asks it (`opdeploy.lab.shells.Computer`): who may log on, and what a command does.

A command is the agent, known by its loader, or one of `console`'s table. A machine answers one call at a time, whatever the
number of sessions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from opdeploy.calls import SKIPPED, Answer, Call, Failure
from opdeploy.lab.shells import Account, Around, Output
from opdeploy.lab.windows import accounts, console
from opdeploy.lab.windows.accounts import ADMINISTRATORS, REMOTE_MANAGEMENT, Token
from opdeploy.lab.windows.agent import Agent
from opdeploy.lab.windows.console import Command
from opdeploy.lab.windows.state import State
from opdeploy.lab.windows.wire import request_lines

PLAIN = Around()


@dataclass
class Behaviour:
    """How the machine's PowerShell behaves beyond what a real one would; read at each start."""

    powershell_start: float = 0
    """Seconds before a powershell.exe says its first word."""
    deaf_to_input: bool = False
    """The loader that reads `$input` never hears anything: the reason for the raw one."""


@dataclass(frozen=True)
class LoggedOn:
    """An account that has logged on, with the SID that its token is made of."""

    name: str
    sid: str


class Computer:
    """A State behind a listener. `state` may be read and changed while nothing runs; hold `lock` otherwise."""

    def __init__(self, state: State, behaviour: Behaviour | None = None) -> None:
        self.state = state
        self.behaviour = behaviour or Behaviour()
        self.lock = threading.RLock()

    @property
    def name(self) -> str:
        return self.state.facts.name

    @property
    def since(self) -> tuple[str, str]:
        """What no session outlives: Windows' start, and WinRM's."""
        return self.state.booted, self.state.winrm_started

    def logon(self, user: str, password: str | None) -> LoggedOn | None:
        """None for a wrong password, an account that is off or expired, or one without the right to log on from the network."""
        with self.lock:
            sid = accounts.sid_of(self.state, f".\\{user}")
            found = self.state.users.get(sid or "")
            if sid is None or found is None or not accounts.usable(self.state, found):
                return None
            if password is not None and accounts.password_of(found) != password:
                return None
            return LoggedOn(found["name"], sid) if accounts.may_log_on_over_network(self.state, sid) else None

    def accounts_for_ntlm(self) -> Iterable[tuple[str, str]]:
        with self.lock:
            users = [user for user in self.state.users.values() if accounts.usable(self.state, user)]
            return [(user["name"], accounts.password_of(user)) for user in users]

    def may_open_shell(self, account: Account) -> bool:
        """Whether WinRM's own descriptor lets the account in: Administrators and Remote Management Users."""
        with self.lock:
            groups = accounts.groups_of(self.state, self._sid(account))
            return bool({ADMINISTRATORS, REMOTE_MANAGEMENT} & set(groups))

    def start(self, command_line: str, account: Account, around: Around = PLAIN, *, skip_cmd: bool = False) -> Process:
        """Raises FileNotFoundError where CreateProcess would, and PermissionError for an account without rights."""
        if not self.may_open_shell(account):
            raise PermissionError("Access is denied.")
        if skip_cmd and not self._is_program(command_line):
            raise FileNotFoundError(command_line)
        return Process(self, console.read(command_line), self.token(account), around)

    def token(self, account: Account) -> Token:
        with self.lock:
            return accounts.token_of(self.state, self._sid(account))

    def _sid(self, account: Account) -> str:
        return account.sid if isinstance(account, LoggedOn) else accounts.sid_of(self.state, f".\\{account.name}") or ""

    def _is_program(self, command_line: str) -> bool:
        """CreateProcess finds what has a full path; the lab's system folder has the programs that it answers for."""
        program = command_line.strip().lstrip('"').split('"')[0].split(" ")[0].lower()
        return program.startswith("c:\\windows\\") and program.endswith((".exe", "powershell", "cmd"))

    def ask(self, calls: Sequence[Call], writes: int = 0, *, source: str, user: str = "") -> list[Answer]:
        """In-process, without WS-Man: one request to a new agent with this source, as `user` or the first administrator.

        Answers are the calls' values or Failures, a skipped write's too."""
        lines: list[bytes] = []
        agent = Agent(self.state, self._token_of(user), self.lock, lines.append)
        for line in [*source.splitlines(), "."]:
            agent.take(line)
        for line in request_lines(1, calls, writes):
            agent.take(line)
        return answers(len(calls), b"".join(lines))

    def _token_of(self, user: str) -> Token:
        members = self.state.groups[ADMINISTRATORS]["members"]
        administrator = next((sid for sid in reversed(members) if sid in self.state.users), "")
        sid = accounts.sid_of(self.state, f".\\{user}") if user else administrator
        return accounts.token_of(self.state, sid or "")


def answers(count: int, replies: bytes) -> list[Answer]:
    """The agent's lines as one answer a call."""
    found: list[Answer] = [Failure("an earlier write failed", id=SKIPPED)] * count
    for line in replies.decode().splitlines():
        reply = json.loads(line.removeprefix("opdeploy "))
        if "call" in reply:
            found[reply["call"]] = Failure(**reply["error"]) if "error" in reply else reply["value"]
    return found


class Process:
    """A command that runs: reads its standard input line by line, writes to `output`."""

    def __init__(self, computer: Computer, command: Command, token: Token, around: Around) -> None:
        self.output = Output()
        self._around = around
        self._computer = computer
        self._command = command
        self._token = token
        self._lock = threading.RLock()
        self._buffer = b""
        self._ended_input = False
        self._started = False
        self._timers: list[threading.Timer] = []
        self._agent: Agent | None = None
        self._since = computer.since
        delay = 0 if command.kind == "cmd" else computer.behaviour.powershell_start
        self._later(delay, self._begin)

    def feed(self, data: bytes, end: bool) -> None:
        with self._lock:
            if self._since != self._computer.since:
                self.output.end(1)
            if self.output.exit_code is not None:
                raise BrokenPipeError
            self._buffer += data
            self._ended_input = self._ended_input or end
            if self._started:
                self._read()

    def terminate(self) -> None:
        with self._lock:
            for timer in self._timers:
                timer.cancel()
            self._agent = None
            self._buffer = b""

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if not seconds:
            action()
            return
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _begin(self) -> None:
        with self._lock:
            self._started = True
            if self._command.kind == "reader":
                self._read()
                return
            if self._command.kind != "agent":
                self._run(self._command)
                return
            state = self._computer.state
            if state.facts.language != "FullLanguage":
                self.output.put("stdout", f"opdeploy {{'language':'{state.facts.language}'}}\r\n".encode())
                self.output.end(3)
                return
            if self._command.raw or not self._computer.behaviour.deaf_to_input:
                self._agent = Agent(state, self._token, self._computer.lock, lambda data: self.output.put("stdout", data))
            self._read()

    def _read(self) -> None:
        if self._command.kind == "reader":
            if self._ended_input:
                self._run(Command("powershell", self._buffer.decode(errors="replace").strip()))
            return
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            if self._agent is not None:
                self._agent.take(line.rstrip(b"\r").decode(errors="replace"))
        if self._ended_input and self._command.kind == "agent":
            self.output.end(0)

    def _run(self, command: Command) -> None:
        with self._computer.lock:
            result = console.run(self._computer.state, self._token, command, self._around)

        def finish() -> None:
            self.output.put("stdout", result.stdout.encode())
            self.output.put("stderr", result.stderr.encode())
            self.output.end(result.exit)

        self._later(result.seconds, finish)
