"""A session with one host: the agent runs resident in one WinRS shell, requests go in over stdin, answers come back.

The only file that knows pywinrm. Its whole face: `open(target) -> Session`, `session.ask(calls)` or `session.answers(calls)`,
`session.close()`, and `HostError`, which they raise when the host can't be talked to. A call that fails is an answer, not an
error: `calls.Failure`. Sealing, idle drops, chunks, quotas and deadlines are inside; winrm.md says what was met.

What a session never does: send a write twice. A write whose answer stayed away is a Failure with id SESSION_LOST.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from opdeploy.calls import SESSION_LOST, SKIPPED, TIMED_OUT, Answer, Call, Failure
from opdeploy.model import HostError, HostFailed, OpdeployError, Secret, UsageError
from opdeploy.windows import agent, wire
from opdeploy.windows.explain import FILE_NOT_FOUND, explained, fault_code

KB = 1024


@dataclass(frozen=True)
class Target:
    """Where and as whom. `ca`: a file or folder of PEM certificates to trust instead of the system's."""

    address: str
    port: int = 5986
    https: bool = True
    transport: Literal["ntlm", "kerberos", "certificate", "basic"] = "ntlm"
    user: str = ""
    password: Secret | None = None
    ca: str | Path | None = None
    verify: bool = True
    cert_pem: str | Path | None = None
    cert_key_pem: str | Path | None = None
    connection_timeout: float = 10
    operation_timeout: int = 20
    read_timeout: int = 30

    @property
    def patience(self) -> int:
        """Seconds that an answer may stay away beyond the operation's own time-out."""
        return max(1, self.read_timeout - self.operation_timeout)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every run with this target has to say of it."""
        if self.https and not self.verify:
            return ("its certificate is not checked (ansible_winrm_server_cert_validation: ignore)",)
        return ()

    @property
    def where(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    @property
    def login(self) -> str:
        return self.user or "the certificate's user"

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.https else 'http'}://{self.where}/wsman"


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes, and how many operations a shell is used for. `deadline` runs from one answer to the next."""

    deadline: float = 120
    first_answer: float = 30
    idle: float = 90
    chunk: int = 150 * KB
    operations: int = 1400
    """A shell is left before it is used up: WinRS never lowers its count, and stops at 1,500 (ansible/ansible #23165)."""


@dataclass
class Counters:
    """What a session has cost: `posts` counts those of logons too; bytes are those of bodies."""

    posts: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0
    logins: int = 0
    loader: Literal["plain", "raw"] = "plain"


@dataclass(frozen=True)
class Ended:
    """What a text left behind that ran beside the agent."""

    exit_code: int
    stdout: str
    stderr: str


Progress = Callable[[int, int], None]
"""Called with how many answers came, of how many."""


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
        self._connection = _Connection(target, limits, self.counters)
        self._shell = _Shell(self._connection)
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

    def ask(
        self, calls: Sequence[Call], *, writes: int = 0, deadline: float | None = None, progress: Progress | None = None
    ) -> list[Answer]:
        """One answer a call, in the calls' order. The first `writes` calls change the host; when one of them fails, the
        rest of them are SKIPPED and the calls after them are still asked. Raises HostError."""
        found: dict[int, Answer] = {}
        for index, answer in self.answers(calls, writes=writes, deadline=deadline):
            found[index] = answer
            if progress:
                progress(len(found), len(calls))
        return [found[index] for index in range(len(calls))]

    def answers(self, calls: Sequence[Call], *, writes: int = 0, deadline: float | None = None) -> Iterator[tuple[int, Answer]]:
        """The same as they come: (index of the call, answer). Raises HostError."""
        left = dict(enumerate(calls))
        seconds = deadline or self._limits.deadline
        try:
            yield from self._together(left, writes, seconds)
        except _Interrupted as cut:
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
        beside = _Shell(self._connection)
        until = time.monotonic() + (seconds or self._limits.deadline)
        try:
            with _explained(self.target, _Interrupted, _NotTaken):
                self._start_text(beside, text, shell, env_vars=dict(environment or {}), working_directory=directory or None)
                return self._ended(beside, until)
        except (_Interrupted, _NotTaken):
            raise HostError(f"{self.target.where}: the connection broke before the command ended") from None
        finally:
            beside.stop()

    def _start_text(self, beside: _Shell, text: str, shell: str, **options: Any) -> None:
        if shell == "cmd":
            beside.start(_Program("", text), **options)
        else:
            beside.start(_powershell(agent.reader_arguments()), **options)
            beside.send(text.encode(), end=True)

    def _ended(self, beside: _Shell, until: float) -> Ended:
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
        """Sends a request and yields its answers. Raises _Interrupted when they stop coming before the end."""
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
        except _NotTaken:
            if self._proven:
                self._send_anew(text)
        self._greeted = True

    def _send_anew(self, text: str) -> None:
        self._restart()
        try:
            self._shell.send((self._source + text).encode("ascii"))
        except _NotTaken:
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
                raise _Interrupted(TIMED_OUT, f"no answer within {seconds:g} s", by_a_call=True)

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
        raise _Interrupted(SESSION_LOST, reason, by_a_call=True)

    # ---------------------------------------------------------------- when a request was cut off

    def _after(self, cut: _Interrupted, left: dict[int, Call], writes: int, seconds: float) -> Iterator[tuple[int, Answer]]:
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

    def _reads_again(self, cut: _Interrupted, left: dict[int, Call], seconds: float) -> Iterator[tuple[int, Answer]]:
        if not cut.by_a_call:
            try:
                yield from self._together(left, 0, seconds)
            except _Interrupted as again:
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
        except _Interrupted as cut:
            cut.alone = len(order) == 1
            raise

    def _alone(self, call: Call, seconds: float) -> Answer:
        try:
            return next(answer for _, answer in list(self._exchange([call], 0, seconds)))
        except _Interrupted as cut:
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


class _Interrupted(Exception):
    """Answers stopped coming. `failure`: what a call is answered with that was waiting alone. `by_a_call`: one of the calls
    may be the reason, so that they must not go together again."""

    def __init__(self, id: str, reason: str, by_a_call: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = Failure(reason, id=id)
        self.by_a_call = by_a_call
        self.alone = False


class _Silent(Exception):
    """The agent has not said its first word in time."""


class _NotTaken(Exception):
    """The shell refused what was sent: it is used up or gone, or the command in it has ended."""


# ---------------------------------------------------------------- WinRS


@dataclass(frozen=True)
class _Program:
    """How a command is started directly (full path; '' for what only cmd.exe knows), and how through cmd.exe."""

    direct: str
    through_cmd: str
    arguments: tuple[str, ...] = ()


def _powershell(arguments: tuple[str, ...]) -> _Program:
    return _Program(agent.EXECUTABLE, agent.EXECUTABLE_FOR_CMD, arguments)


class _Connection:
    """pywinrm's Protocol for one host: logged on when first used, and anew where the old logon will not do."""

    def __init__(self, target: Target, limits: Limits, counters: Counters) -> None:
        self.target = target
        self.limits = limits
        self.through_cmd = False
        self._counters = counters
        self._protocol: Any = None
        self._used_at = 0.0

    def do(self, operation: str, *args: Any, seconds: int | None = None, **named: Any) -> Any:
        """One method of the Protocol, within `seconds`. Raises what pywinrm and requests raise.

        After idleness the server has dropped the connection; when it can't read what the old context sealed, it says HTTP 400
        and has taken nothing, so the operation is done again.
        """
        from winrm.exceptions import WinRMTransportError

        if self._used_at and time.monotonic() - self._used_at > self.limits.idle:
            self.log_out()
        method = getattr(self._with_timeout(seconds or self.target.operation_timeout), operation)
        try:
            return method(*args, **named)
        except WinRMTransportError as error:
            if error.code != 400 or not self._used_at:
                raise
            self.log_out()
            return method(*args, **named)
        finally:
            self._used_at = time.monotonic()

    def log_out(self) -> None:
        if self._protocol is not None:
            with contextlib.suppress(Exception):
                self._protocol.transport.close_session()

    def _with_timeout(self, seconds: int) -> Any:
        if self._protocol is None:
            self._protocol = _protocol(self.target, self._counters)
        self._protocol.operation_timeout_sec = seconds
        self._protocol.transport.read_timeout_sec = (self.target.connection_timeout, seconds + self.target.patience)
        return self._protocol


class _Shell:
    """One WinRS shell and the one command in it."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._shell_id = ""
        self._command_id = ""
        self.operations = 0
        self.exit_code: int | None = None

    @property
    def running(self) -> bool:
        return bool(self._command_id) and self.exit_code is None

    def start(self, program: _Program, **options: Any) -> None:
        """A new shell and a program in it: directly, or through cmd.exe where this Windows finds nothing without it. Raises
        HostError, UsageError."""
        self.operations, self.exit_code = 0, None
        with _explained(self._connection.target):
            self._shell_id = self._connection.do("open_shell", codepage=65001, **options)
            try:
                self._command_id = self._run(program)
            except Exception as error:
                if fault_code(error) != FILE_NOT_FOUND or self._connection.through_cmd:
                    raise
                self._connection.through_cmd = True
                self._command_id = self._run(program)

    def _run(self, program: _Program) -> str:
        self.operations += 1
        direct = bool(program.direct) and not self._connection.through_cmd
        executable = program.direct if direct else program.through_cmd
        named = {"console_mode_stdin": False, "skip_cmd_shell": direct}
        return str(self._connection.do("run_command", self._shell_id, executable, program.arguments, **named))

    def send(self, data: bytes, end: bool = False) -> None:
        """Raises _NotTaken when the host says so; _Interrupted when nobody knows what arrived; HostError."""
        from requests.exceptions import RequestException
        from winrm.exceptions import WinRMOperationTimeoutError, WSManFaultError

        for start in range(0, len(data), self._connection.limits.chunk):
            piece = data[start : start + self._connection.limits.chunk]
            last = end and start + len(piece) == len(data)
            self.operations += 1
            try:
                with _explained(self._connection.target, RequestException, WinRMOperationTimeoutError, WSManFaultError):
                    self._connection.do("send_command_input", self._shell_id, self._command_id, piece, end=last)
            except WSManFaultError:
                raise _NotTaken from None
            except (RequestException, WinRMOperationTimeoutError):
                self._connection.log_out()
                raise _Interrupted(SESSION_LOST, "the connection broke while the request was sent") from None

    def receive(self, until: float) -> tuple[bytes, bytes]:
        """Output and errors, as soon as there are some; nothing when there were none until `until`, or until the host ends
        the operation. Raises _Interrupted when they are lost."""
        from winrm.exceptions import WinRMOperationTimeoutError

        seconds = max(1, min(self._connection.target.operation_timeout, math.ceil(until - time.monotonic())))
        self.operations += 1
        try:
            with _explained(self._connection.target, WinRMOperationTimeoutError):
                stdout, stderr, code, done = self._connection.do(
                    "get_command_output_raw", self._shell_id, self._command_id, seconds=seconds
                )
        except WinRMOperationTimeoutError:
            return b"", b""
        except OpdeployError as error:
            self._connection.log_out()
            raise _Interrupted(SESSION_LOST, error.message) from None
        if done:
            self.exit_code = code
        return stdout, stderr

    def stop(self) -> None:
        """Ends the command and deletes the shell; the connection stays. Raises only what interrupts the whole run, and then
        the shell is deleted all the same, its command with it. What is gone needs no end; what is silent gets one chance."""
        shell_id, command_id = self._shell_id, self._command_id
        self._shell_id = self._command_id = ""
        silent = False
        try:
            silent = bool(command_id) and not self._told("cleanup_command", shell_id, command_id)
        finally:
            if shell_id and not silent:
                self._delete(shell_id)

    def _delete(self, shell_id: str) -> None:
        try:
            self._told("close_shell", shell_id, close_session=False)
        except BaseException:  # interrupted: nobody else knows this shell, and it would stay for two hours
            self._told("close_shell", shell_id, close_session=False)
            raise

    def _told(self, operation: str, *args: str, **named: Any) -> bool:
        """Whether the host said anything to it."""
        from requests.exceptions import Timeout

        try:
            self._connection.do(operation, *args, seconds=5, **named)
        except Timeout:
            return False
        except Exception:
            return True
        return True


@contextlib.contextmanager
def _explained(target: Target, *but: type[Exception]) -> Iterator[None]:
    """Raises what a person reads instead of what pywinrm and requests raise; `but` those pass."""
    try:
        yield
    except but:
        raise
    except Exception as error:
        told = explained(target, error)
    else:
        return
    raise told from None


def _protocol(target: Target, counters: Counters) -> Any:
    """A Protocol with nothing from the environment in it: checked, sealed, metered. Raises UsageError."""
    from winrm.protocol import Protocol

    if target.transport in ("basic", "certificate") and not target.https:
        raise UsageError(
            f"{target.where}: {target.transport} is only for HTTPS: over HTTP it would go unsealed",
            "use ntlm or kerberos, or the HTTPS listener (ansible_winrm_scheme: https, ansible_port: 5986)",
        )
    protocol = Protocol(
        target.endpoint,
        transport=target.transport,
        username=target.user or None,
        password=target.password.reveal() if target.password else None,
        ca_trust_path=str(target.ca or _system_trust() or "") or None,
        cert_pem=str(target.cert_pem) if target.cert_pem else None,
        cert_key_pem=str(target.cert_key_pem) if target.cert_key_pem else None,
        server_cert_validation="validate" if target.verify else "ignore",
        message_encryption="auto" if target.https else "always",
        proxy=None,
    )
    _meter(protocol.transport, counters)
    return protocol


def _system_trust() -> Path | None:
    """The system's own trusted certificates, as OpenSSL was built to find them; None: those that requests brings along."""
    import ssl

    paths = ssl.get_default_verify_paths()
    folder = Path(paths.openssl_capath)
    if Path(paths.openssl_cafile).is_file():
        return Path(paths.openssl_cafile)
    return folder if folder.is_dir() and any(folder.glob("*.0")) else None


def _meter(transport: Any, counters: Counters) -> None:
    """Counts every POST that leaves, those of a logon too, by an adapter in each new HTTP session of the transport."""
    from requests.adapters import HTTPAdapter

    class Meter(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            started = time.monotonic()
            counters.posts += 1
            counters.bytes_sent += len(request.body or b"")
            try:
                response = super().send(request, *args, **kwargs)
                # the body stays unread: requests_ntlm takes the server's certificate from the socket below it
                counters.bytes_received += int(response.headers.get("Content-Length") or 0)
                return response
            finally:
                counters.seconds += time.monotonic() - started

    build, send = transport.build_session, transport._send_message_request

    def metered(session: Any, request: Any) -> Any:
        if not isinstance(session.adapters["http://"], Meter):
            counters.logins += 1
            session.mount("http://", Meter())
            session.mount("https://", Meter())
        return send(session, request)

    def of_its_own() -> Any:
        session = build()
        session.trust_env = False  # no .netrc beside the logon that we were given
        return session

    transport.build_session, transport._send_message_request = of_its_own, metered
