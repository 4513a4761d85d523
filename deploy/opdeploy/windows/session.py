"""A session with one host: the agent runs resident in one WinRS shell, requests go in over stdin, answers come back.

Its whole face: `open(target) -> Session`, `session.ask(calls)` or `session.answers(calls)`,
`session.close()`, and `HostError`, which they raise when the host can't be talked to. A call that fails is an answer, not an
error: `calls.Failure`. Quotas, deadlines and what was cut off are inside; winrm.md says what was met.

What a session never does: send a write twice. A write whose answer stayed away is a Failure with id SESSION_LOST.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opdeploy.calls import SESSION_LOST, SKIPPED, TIMED_OUT, Answer, Call, Failure
from opdeploy.model import HostError, HostFailed
from opdeploy.windows import agent, wire
from opdeploy.windows.winrs import Connection, Counters, Interrupted, Limits, NotTaken, Program, Shell, Target, explaining


@dataclass(frozen=True)
class Ended:
    """What a text left behind that ran beside the agent."""

    exit_code: int
    stdout: str
    stderr: str


def open(target: Target, *, write: bool = False, settings: Limits | None = None, raw: bool = False) -> Session:
    """Logs on and starts powershell.exe; the agent's source travels with the first request. Raises HostError, UsageError.

    `raw`: with the raw loader from the start, where an earlier session with this host had to turn to it.
    """
    session = Session(target, write=write, limits=settings or Limits())
    session.counters.loader = "raw" if raw else "plain"
    try:
        session.start()
    except BaseException:
        session.close()
        raise
    return session


class Session:
    """One host, one shell, one agent. Not for two threads or greenlets at once."""

    def __init__(self, target: Target, *, write: bool, limits: Limits) -> None:
        self.target = target
        self.counters = Counters()
        self.log: deque[str] = deque(maxlen=100)
        """What the host said besides answers: warnings of cmdlets, banners. For diagnosis only."""
        self._limits = limits
        self._source = f"{agent.source(write)}.\n"
        self._connection = Connection(target, limits, self.counters)
        self._shell = Shell(self._connection)
        self._lines = wire.Lines()
        self._greeted = False
        self._proven = False
        self._number = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """A fresh shell with the loader running in it, which waits for the agent's source."""
        self._greeted = False
        self._lines = wire.Lines()
        self._shell.start(_powershell(agent.arguments(raw=self.counters.loader == "raw")))

    def close(self) -> None:
        """Ends the command and the shell, whatever state they are in. Never raises."""
        self._shell.stop()
        self._connection.log_out()

    def ask(self, calls: Sequence[Call], *, writes: int = 0, deadline: float | None = None) -> list[Answer]:
        """One answer a call, in the calls' order. The first `writes` calls change the host; when one of them fails, the
        rest of them are SKIPPED and the calls after them are still asked. Raises HostError."""
        found = dict(self.answers(calls, writes=writes, deadline=deadline))
        return [found[index] for index in range(len(calls))]

    def answers(self, calls: Sequence[Call], *, writes: int = 0, deadline: float | None = None) -> Iterator[tuple[int, Answer]]:
        """The same as they come: (index of the call, answer). Raises HostError."""
        left = dict(enumerate(calls))
        seconds = deadline or self._limits.deadline
        try:
            yield from self._together(left, writes, seconds)
        except Interrupted as cut:
            self._shell.stop()
            yield from self._after(cut, left, writes, seconds)

    def run_text(
        self,
        text: str,
        *,
        shell: Literal["powershell", "cmd"] = "powershell",
        seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
        directory: str = "",
    ) -> Ended:
        """Somebody's own text, beside the agent in a shell of its own. PowerShell gets it over stdin, so that the process
        log does not show it; cmd.exe gets it as its line. Raises HostError, also when it does not end in time."""
        beside = Shell(self._connection)
        until = time.monotonic() + (seconds or self._limits.deadline)
        try:
            with explaining(self.target, Interrupted, NotTaken):
                self._start_text(beside, text, shell, env_vars=dict(environment or {}), working_directory=directory or None)
                return self._ended(beside, until)
        except (Interrupted, NotTaken):
            raise HostError(f"{self.target.where}: the connection broke before the command ended") from None
        finally:
            beside.stop()

    def _start_text(self, beside: Shell, text: str, shell: str, **options: Any) -> None:
        if shell == "cmd":
            beside.start(Program("", text), **options)
        else:
            beside.start(_powershell(agent.reader_arguments()), **options)
            beside.send(text.encode(), end=True)

    def _ended(self, beside: Shell, until: float) -> Ended:
        output, errors = bytearray(), bytearray()
        while beside.running:
            if time.monotonic() >= until:
                raise HostError(f"{self.target.where}: the command did not end in time", "give it more (_timeout)")
            stdout, stderr = beside.receive(until)
            output += stdout
            errors += stderr
        return Ended(beside.exit_code or 0, output.decode(errors="replace"), errors.decode(errors="replace"))

    # ---------------------------------------------------------------- one request

    def _exchange(self, calls: Sequence[Call], writes: int, seconds: float) -> Iterator[tuple[int, Answer]]:
        """Sends a request and yields its answers. Raises Interrupted when they stop coming before the end."""
        request = self._request(calls, writes)
        if self._shell.operations >= self._limits.operations:
            self._restart()
        if writes and not self._proven:
            self._prove(seconds)
        try:
            self._send(request.text)
            yield from self._receive(request, len(calls), writes, seconds)
        except _Silent:
            self._turn_to_raw()
            self._prove(seconds)  # tells a deaf agent from a call that hangs
            yield from self._exchange(calls, writes, seconds)

    def _request(self, calls: Sequence[Call], writes: int) -> wire.Request:
        self._number += 1
        return wire.request(self._number, calls, writes)

    def _prove(self, seconds: float) -> None:
        """An empty request: no write goes to an agent that has not answered yet, since it might have to be sent twice; and
        a silence after it is a call's, not the agent's."""
        for _ in self._exchange([], 0, seconds):
            pass

    def _send(self, text: str) -> None:
        """With the agent's source before it, if that has not been sent. What is refused was not taken: to a new shell."""
        if not self._shell.running:
            self.start()
        try:
            self._shell.send((text if self._greeted else self._source + text).encode("ascii"))
        except NotTaken:
            if self._proven:
                self._send_anew(text)
        self._greeted = True

    def _send_anew(self, text: str) -> None:
        self._restart()
        try:
            self._shell.send((self._source + text).encode("ascii"))
        except NotTaken:
            raise HostError(f"{self.target.where}: the host takes no requests any more", "is WinRM being shut down?") from None

    def _receive(self, request: wire.Request, count: int, writes: int, seconds: float) -> Iterator[tuple[int, Answer]]:
        unanswered = set(range(count))
        for said in self._said(request, seconds):
            if isinstance(said, wire.Reply) and said.call in unanswered:
                unanswered.discard(said.call)
                yield said.call, wire.without_secrets(said.answer, request.secrets)
        if any(index >= writes for index in unanswered):
            raise HostFailed(f"{self.target.where}: the agent ended a request without all its answers")
        for index in sorted(unanswered):
            yield index, Failure("not tried: an earlier change failed", id=SKIPPED)

    def _said(self, request: wire.Request, seconds: float) -> Iterator[wire.Line]:
        """The lines that answer a request, up to its end. The time limit starts anew with each of them."""
        limit = seconds if self._proven else min(seconds, self._first_answer)
        until = time.monotonic() + limit
        while True:
            for line in self._next_lines(until):
                self._check(line)
                if not isinstance(line, wire.Reply | wire.Done) or line.id != request.id:
                    continue
                self._proven = True
                until = time.monotonic() + seconds
                if isinstance(line, wire.Done):
                    return
                yield line
            self._check_running()
            if time.monotonic() >= until:
                if not self._proven:
                    raise _Silent
                raise Interrupted(TIMED_OUT, f"no answer within {seconds:g} s", by_a_call=True)

    def _next_lines(self, until: float) -> list[wire.Line]:
        stdout, stderr = self._shell.receive(until)
        self.log.extend(text for text in stderr.decode(errors="replace").splitlines() if text.strip())
        return self._lines.feed(stdout) + ([] if self._shell.running else self._lines.end())

    def _check(self, line: wire.Line) -> None:
        if isinstance(line, wire.Refusal):
            raise HostFailed(
                f"{self.target.where}: PowerShell runs in {line.language} mode there, which lets no agent run",
                "exempt the session's user from the application control policy (WDAC or AppLocker) that sets this mode",
            )
        if isinstance(line, wire.NotRead):
            raise HostFailed(f"{self.target.where}: the agent could not read a request: {line.failure.message}")
        if isinstance(line, wire.Log):
            self.log.append(line.text)

    def _check_running(self) -> None:
        if self._shell.running:
            return
        if not self._proven:
            raise self._not_the_agent(f"powershell.exe ended with {self._shell.exit_code}")
        reason = f"powershell.exe ended with {self._shell.exit_code} before this call was answered"
        raise Interrupted(SESSION_LOST, reason, by_a_call=True)

    # ---------------------------------------------------------------- when a request was cut off

    def _after(self, cut: Interrupted, left: dict[int, Call], writes: int, seconds: float) -> Iterator[tuple[int, Answer]]:
        """Writes are not sent again. Reads are: one by one where one of them may be what held up the others, so that it is
        known."""
        for index in sorted(index for index in left if index < writes):
            del left[index]
            yield index, Failure(f"may or may not have happened (the next apply reads first): {cut.reason}", id=SESSION_LOST)
        try:
            yield from self._reads_again(cut, left, seconds)
        except HostError as error:
            if not writes:
                raise
            for index in sorted(left):
                yield index, Failure(error.message, id=SESSION_LOST)

    def _reads_again(self, cut: Interrupted, left: dict[int, Call], seconds: float) -> Iterator[tuple[int, Answer]]:
        if not cut.by_a_call:
            try:
                yield from self._together(left, 0, seconds)
            except Interrupted as again:
                self._shell.stop()
                cut = again
        only_one = len(left) == 1
        for index in sorted(left):
            answer = cut.failure if only_one and cut.alone else self._alone(left[index], seconds)
            del left[index]
            yield index, answer

    def _together(self, left: dict[int, Call], writes: int, seconds: float) -> Iterator[tuple[int, Answer]]:
        """All that is left, in one request."""
        if not left:
            return
        order = sorted(left)
        try:
            for number, answer in self._exchange([left[index] for index in order], writes, seconds):
                del left[order[number]]
                yield order[number], answer
        except Interrupted as cut:
            cut.alone = len(order) == 1
            raise

    def _alone(self, call: Call, seconds: float) -> Answer:
        try:
            return next(answer for _, answer in list(self._exchange([call], 0, seconds)))
        except Interrupted as cut:
            self._shell.stop()
            return cut.failure

    def _restart(self) -> None:
        self._shell.stop()
        self.start()

    def _turn_to_raw(self) -> None:
        """The insurance (design.md, "The agent"): the first answer stayed away, so once more with the other loader."""
        if self.counters.loader == "raw":
            raise self._not_the_agent(f"no answer within {self._first_answer:g} s")
        self.counters.loader = "raw"
        self._restart()

    @property
    def _first_answer(self) -> float:
        """Seconds. The raw loader is the last resort: a host that is only slow to start PowerShell gets there by it."""
        return self._limits.first_answer * (2 if self.counters.loader == "raw" else 1)

    def _not_the_agent(self, reason: str) -> HostFailed:
        said = f"; it said: {self.log[-1][:200]}" if self.log else ""
        return HostFailed(
            f"{self.target.where}: what was started there is not the agent: {reason}{said}",
            "does PowerShell start there, in less than a minute? Is endpoint protection or a logon script in its way?",
        )


class _Silent(Exception):
    """The agent has not said its first word in time."""


def _powershell(arguments: tuple[str, ...]) -> Program:
    return Program(agent.EXECUTABLE, agent.EXECUTABLE_FOR_CMD, arguments)
