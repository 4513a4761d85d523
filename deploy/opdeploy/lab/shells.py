"""WinRS' shells and their commands: who may open how many, what runs in them, what they wrote and nobody took yet.

Knows neither XML nor HTTP (`wsman`, `http`), nor what a command does: that is behind `Computer`, the one thing this
front asks of the model of Windows. Threads of several connections call it at once.
"""

import threading
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from opdeploy.lab import faults
from opdeploy.lab.settings import Settings

TERMINATED = 0xC000013A
"""STATUS_CONTROL_C_EXIT: the exit code of a process that was told to stop and named no code of its own."""


class Account(Protocol):
    """Who has logged on. The model may put anything else into it; it gets it back in `Computer.start`."""

    @property
    def name(self) -> str: ...


class Computer(Protocol):
    """The simulated Windows behind one listener. Every method may be called from several threads at once."""

    @property
    def name(self) -> str: ...

    def logon(self, user: str, password: str | None) -> Account | None:
        """None refuses: wrong password, disabled, no right to log on. `password` is None where NTLM or a certificate
        has proved it already. `user` comes without `.\\`, `WORKGROUP\\` or this computer's name; any other domain stays
        on it."""

    def accounts_for_ntlm(self) -> Iterable[tuple[str, str]]:
        """Users (as `logon` gets them) with their passwords, which NTLM needs in the clear. Asked at each logon."""

    def start(self, command_line: str, account: Account, around: "Around", *, skip_cmd: bool) -> "Process":
        """Raises PermissionError for an account without rights; FileNotFoundError where CreateProcess finds no file (through
        cmd.exe that is output, no error)."""


@dataclass(frozen=True)
class Around:
    """What a shell gives its commands: a code page, a working directory ('' for the account's own), variables by name."""

    codepage: int = 437
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


class Process(Protocol):
    """One started command. What it writes goes to its `output`, during a call or later from a thread of its own."""

    @property
    def output(self) -> "Output": ...

    def feed(self, data: bytes, end: bool) -> None:
        """Standard input; `end` closes it. Raises BrokenPipeError once nobody reads any more."""

    def terminate(self) -> None:
        """Stop now; may be called more than once, and after the end."""


@dataclass(frozen=True)
class Received:
    """What one Receive hands out: (stream, bytes) in the order they were written; `exit_code` with the last piece."""

    pieces: tuple[tuple[str, bytes], ...]
    exit_code: int | None


class Output:
    """What a process has written to 'stdout' and 'stderr' and nobody has taken yet.

    One Receive at a time: a newer one ends the older, whose connection is taken for dead, lest it swallow what comes.
    """

    MERGED = 64 * 1024
    PIECE_COSTS = 256
    """Bytes that a piece costs beyond its data, when room is reckoned."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pieces: deque[tuple[str, bytes]] = deque()
        self._exit_code: int | None = None
        self._receiver = 0

    @property
    def exit_code(self) -> int | None:
        """None until the process is over."""
        return self._exit_code

    def put(self, stream: str, data: bytes) -> None:
        """Add what the process wrote; wakes a Receive that waits."""
        with self._changed:
            if self._pieces and self._pieces[-1][0] == stream and len(self._pieces[-1][1]) < self.MERGED:
                data = self._pieces.pop()[1] + data
            if data:
                self._pieces.append((stream, data))
            self._changed.notify_all()

    def end(self, exit_code: int) -> None:
        """The process is over. Only the first call counts."""
        with self._changed:
            if self._exit_code is None:
                self._exit_code = exit_code
            self._changed.notify_all()

    def abandon(self) -> None:
        """End a Receive that waits, with what it would have got left where it is."""
        with self._changed:
            self._receiver += 1
            self._changed.notify_all()

    def take(self, room: int, seconds: float) -> Received:
        """Wait for the first output or the end, then hand out all there is, up to `room` bytes. Raises the faults
        timed_out and aborted."""
        with self._changed:
            self._receiver += 1
            mine = self._receiver
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ready() or self._receiver != mine, seconds)
            if self._receiver != mine:
                raise faults.aborted()
            if not self._ready():
                raise faults.timed_out()
            pieces = self._cut(room)
            return Received(pieces, None if self._pieces else self._exit_code)

    def _ready(self) -> bool:
        return bool(self._pieces) or self._exit_code is not None

    def _cut(self, room: int) -> tuple[tuple[str, bytes], ...]:
        taken = []
        while self._pieces and room > self.PIECE_COSTS:
            stream, data = self._pieces.popleft()
            fits = room - self.PIECE_COSTS
            if len(data) > fits:
                self._pieces.appendleft((stream, data[fits:]))
            taken.append((stream, data[:fits]))
            room = fits - len(data)
        return tuple(taken)


@dataclass
class Shell:
    """One shell of one user, and the commands that nobody has terminated yet."""

    account: Account
    around: Around
    id: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    commands: dict[str, Process] = field(default_factory=dict)
    operations: int = 0

    def count(self, limit: int) -> None:
        """One more operation; never counted down. Raises the fault too_many_operations."""
        if self.operations >= limit:
            raise faults.too_many_operations(limit)
        self.operations += 1

    def command(self, command_id: str) -> Process:
        """Raises the fault command_not_found."""
        try:
            return self.commands[command_id]
        except KeyError:
            raise faults.command_not_found(command_id) from None

    def end(self, command_id: str) -> None:
        """Forget a command and stop it; one that is not there is no error."""
        process = self.commands.pop(command_id, None)
        if process is not None:
            interrupt(process)

    def end_all(self) -> None:
        """Stop every command: WinRS' job object takes them all with the shell."""
        for command_id in list(self.commands):
            self.end(command_id)


def interrupt(process: Process) -> None:
    """Stop a process, and see to it that whoever waits for its output hears of the end."""
    process.terminate()
    process.output.end(TERMINATED)


class Shells:
    """All shells of one computer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shells: dict[str, Shell] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._shells)

    def create(self, account: Account, around: Around) -> Shell:
        """Raises the fault too_many_shells."""
        limit = self._settings.max_shells_per_user
        with self._lock:
            if sum(_same_user(shell.account, account) for shell in self._shells.values()) >= limit:
                raise faults.too_many_shells(limit)
            shell = Shell(account, around)
            self._shells[shell.id] = shell
            return shell

    def find(self, account: Account, shell_id: str) -> Shell:
        """A shell is its user's own: another's is not found. Raises the fault shell_not_found."""
        shell = self._shells.get(shell_id.upper())
        if shell is None or not _same_user(shell.account, account):
            raise faults.shell_not_found(shell_id)
        return shell

    def delete(self, account: Account, shell_id: str) -> None:
        """Raises the fault shell_not_found."""
        shell = self.find(account, shell_id)
        with self._lock:
            self._shells.pop(shell.id, None)
        shell.end_all()

    def abandon_receives(self) -> None:
        """Every connection is gone: no Receive that waits may take anything any more."""
        for shell in list(self._shells.values()):
            for process in list(shell.commands.values()):
                process.output.abandon()

    def close(self) -> None:
        """Stop everything, as when the computer is switched off."""
        with self._lock:
            shells = list(self._shells.values())
            self._shells.clear()
        for shell in shells:
            shell.end_all()


def _same_user(one: Account, other: Account) -> bool:
    return one.name.casefold() == other.name.casefold()
