"""Programs on a host by WinRS, the shell of WS-Man: a connection, shells in it, one program in each. [MS-WSMV]

The only file that knows pywinrm. Sealing, idle drops, chunks and what exceptions mean are inside; winrm.md says what was met.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from opdeploy.calls import SESSION_LOST, Failure
from opdeploy.model import OpdeployError, Secret, UsageError
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


class Interrupted(Exception):
    """Answers stopped coming. `failure`: what a call is answered with that was waiting alone. `by_a_call`: one of the calls
    may be the reason, so that they must not go together again."""

    def __init__(self, id: str, reason: str, by_a_call: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = Failure(reason, id=id)
        self.by_a_call = by_a_call
        self.alone = False


class NotTaken(Exception):
    """The shell refused what was sent: it is used up or gone, or the command in it has ended."""


@dataclass(frozen=True)
class Program:
    """How a command is started directly (full path; '' for what only cmd.exe knows), and how through cmd.exe."""

    direct: str
    through_cmd: str
    arguments: tuple[str, ...] = ()


class Connection:
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


class Shell:
    """One WinRS shell and the one command in it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._shell_id = ""
        self._command_id = ""
        self.operations = 0
        self.exit_code: int | None = None

    @property
    def running(self) -> bool:
        return bool(self._command_id) and self.exit_code is None

    def start(self, program: Program, **options: Any) -> None:
        """A new shell and a program in it: directly, or through cmd.exe where this Windows finds nothing without it. Raises
        HostError, UsageError."""
        self.operations, self.exit_code = 0, None
        with explaining(self._connection.target):
            self._shell_id = self._connection.do("open_shell", codepage=65001, **options)
            try:
                self._command_id = self._run(program)
            except Exception as error:
                if fault_code(error) != FILE_NOT_FOUND or self._connection.through_cmd:
                    raise
                self._connection.through_cmd = True
                self._command_id = self._run(program)

    def _run(self, program: Program) -> str:
        self.operations += 1
        direct = bool(program.direct) and not self._connection.through_cmd
        executable = program.direct if direct else program.through_cmd
        named = {"console_mode_stdin": False, "skip_cmd_shell": direct}
        return str(self._connection.do("run_command", self._shell_id, executable, program.arguments, **named))

    def send(self, data: bytes, end: bool = False) -> None:
        """Raises NotTaken when the host says so; Interrupted when nobody knows what arrived; HostError."""
        from requests.exceptions import RequestException
        from winrm.exceptions import WinRMOperationTimeoutError, WSManFaultError

        for start in range(0, len(data), self._connection.limits.chunk):
            piece = data[start : start + self._connection.limits.chunk]
            last = end and start + len(piece) == len(data)
            self.operations += 1
            try:
                with explaining(self._connection.target, RequestException, WinRMOperationTimeoutError, WSManFaultError):
                    self._connection.do("send_command_input", self._shell_id, self._command_id, piece, end=last)
            except WSManFaultError:
                raise NotTaken from None
            except (RequestException, WinRMOperationTimeoutError):
                self._connection.log_out()
                raise Interrupted(SESSION_LOST, "the connection broke while the request was sent") from None

    def receive(self, until: float) -> tuple[bytes, bytes]:
        """Output and errors, as soon as there are some; nothing when there were none until `until`, or until the host ends
        the operation. Raises Interrupted when they are lost."""
        from winrm.exceptions import WinRMOperationTimeoutError

        seconds = max(1, min(self._connection.target.operation_timeout, math.ceil(until - time.monotonic())))
        self.operations += 1
        try:
            with explaining(self._connection.target, WinRMOperationTimeoutError):
                stdout, stderr, code, done = self._connection.do(
                    "get_command_output_raw", self._shell_id, self._command_id, seconds=seconds
                )
        except WinRMOperationTimeoutError:
            return b"", b""
        except OpdeployError as error:
            self._connection.log_out()
            raise Interrupted(SESSION_LOST, error.message) from None
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
def explaining(target: Target, *but: type[Exception]) -> Iterator[None]:
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

    from opdeploy.windows import metering

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
    _on_its_own(protocol.transport)
    metering.meter(protocol.transport, counters)
    return protocol


def _system_trust() -> Path | None:
    """The system's own trusted certificates, as OpenSSL was built to find them; None: those that requests brings along."""
    import ssl

    paths = ssl.get_default_verify_paths()
    folder = Path(paths.openssl_capath)
    if Path(paths.openssl_cafile).is_file():
        return Path(paths.openssl_cafile)
    return folder if folder.is_dir() and any(folder.glob("*.0")) else None


def _on_its_own(transport: Any) -> None:
    """No .netrc beside the logon that we were given."""
    build = transport.build_session

    def built() -> Any:
        session = build()
        session.trust_env = False
        return session

    transport.build_session = built
