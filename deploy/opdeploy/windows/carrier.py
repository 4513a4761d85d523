"""What the connector does: calls, texts and files over a station, with every failure as one line.

Global arguments of pyinfra that cannot hold on Windows are refused, never ignored: `POSIX_ONLY`. Honoured are `_timeout`,
`_env`, `_chdir` (for texts; calls for the agent name full paths) and `_shell_executable` (PowerShell, or ``cmd``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.connectors.util import CommandOutput, OutputLine

from opdeploy.calls import Failure, Read, Write, shown
from opdeploy.commands import line
from opdeploy.model import OpdeployError, Secret
from opdeploy.store import Store
from opdeploy.windows import files, targets
from opdeploy.windows.station import Records, Station
from opdeploy.windows.winrs import Target

POSIX_ONLY = (
    "_sudo", "_sudo_user", "_use_sudo_login", "_sudo_password", "_preserve_sudo_env", "_su_user", "_use_su_login",
    "_su_password", "_preserve_su_env", "_su_shell", "_doas", "_doas_user", "_dzdo", "_dzdo_user", "_get_pty", "_stdin",
    "_temp_dir",
)  # fmt: skip
POWERSHELL = ("sh", "ps", "powershell", None)

Log = Callable[[str], None]


class AgentCommand(StringCommand):
    """Calls for the agent in pyinfra's clothes: its text is what they amount to, secrets hidden."""

    def __init__(self, writes: Sequence[Write] = (), reads: Sequence[Read] = ()) -> None:
        self.writes, self.reads = tuple(writes), tuple(reads)
        super().__init__("; ".join(map(line, writes or reads)))


class Look(AgentCommand):
    """Reads asked again while work on the host goes on: a failure is an answer too, and a broken session is opened anew."""

    def __init__(self, reads: Sequence[Read], after: float) -> None:
        self.after = after
        super().__init__(reads=reads)


class Refusal(StringCommand):
    """A change that is not made: an operation that fails with its reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"# {reason}")


# ---------------------------------------------------------------- connecting


def connected(name: str, data: Mapping[str, Any]) -> Station:
    """A station that is logged in and has said what it is. Raises ConnectError with one line."""
    others = [e.value for e in entry_points(group="pyinfra.connectors", name="winrm") if not e.value.startswith("opdeploy.")]
    if others:
        raise ConnectError(f"two connectors are named winrm, ours and {others[0]}: uninstall one")
    try:
        short = data["winrm_hostname"] or name.removeprefix("@winrm/")
        station: Station = data["opdeploy_station"] or Station(target(short, data), Records(Store.open(), short))
        station.log_in()
        for warning in station.target.warnings:
            logger.warning(f"{short}: {warning}")
        return station
    except OpdeployError as error:
        raise ConnectError(one_line(error)) from error


def target(name: str, data: Mapping[str, Any]) -> Target:
    """How pyinfra's host data says that a host is reached. Raises OpdeployError."""
    password = data["winrm_password"]
    if data["opdeploy_inventory"]:
        return targets.of_inventory(data["opdeploy_inventory"], name)
    if password is not None and not isinstance(password, Secret):
        raise OpdeployError("winrm_password is plain text", "give an opdeploy.model.Secret, or set OPDEPLOY_PASSWORD")
    found = targets.of_environment(name, data["winrm_user"], password)
    return replace(
        found,
        port=data["winrm_port"] or (5986 if data["winrm_https"] else 5985),
        https=data["winrm_https"],
        transport=data["winrm_transport"],
        ca=Path(data["winrm_ca"]) if data["winrm_ca"] else None,
        verify=data["winrm_verify"],
    )


def one_line(error: OpdeployError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


# ---------------------------------------------------------------- running


def run(station: Station, command: StringCommand, arguments: Mapping[str, Any]) -> tuple[bool, CommandOutput]:
    try:
        refuse_posix(arguments)
        if isinstance(command, Refusal):
            return False, output(stderr=[command.reason])
        return (_carry if isinstance(command, AgentCommand) else _run_text)(station, command, arguments)
    except OpdeployError as error:
        return False, output(stderr=[one_line(error)])


def refuse_posix(arguments: Mapping[str, Any]) -> None:
    """Raises OpdeployError for a global argument that can't hold here."""
    for name in POSIX_ONLY:
        if arguments.get(name):
            raise OpdeployError(f"{name} can't hold on Windows", "leave it out: everything runs as the session's user")
    if arguments.get("_success_exit_codes") not in (None, [0]):
        raise OpdeployError("_success_exit_codes can't hold on Windows", "leave it out: 0 is success")
    shell = arguments.get("_shell_executable")
    if shell not in (*POWERSHELL, "cmd"):
        raise OpdeployError(f"_shell_executable {shell!r} can't hold on Windows", "ps and cmd can")


def _carry(station: Station, command: AgentCommand, arguments: Mapping[str, Any]) -> tuple[bool, CommandOutput]:
    seconds = arguments.get("_timeout") or None
    if isinstance(command, Look):
        station.look(command.reads, command.after)
        return True, output()
    if command.writes:
        failures = station.write(command.writes, command.reads, seconds)
        return not failures, output(stderr=[failure.message for failure in failures])
    found = station.ask(command.reads, seconds)
    answers = [found[read.key] for read in command.reads]
    failed = [answer.message for answer in answers if isinstance(answer, Failure)]
    said = [json.dumps(shown(answer)) for answer in answers if not isinstance(answer, Failure)]
    return not failed, output(said, failed)


def _run_text(station: Station, command: StringCommand, arguments: Mapping[str, Any]) -> tuple[bool, CommandOutput]:
    ended = station.session().run_text(
        command.get_raw_value(),
        shell="cmd" if arguments.get("_shell_executable") == "cmd" else "powershell",
        seconds=arguments.get("_timeout") or None,
        environment=environment(arguments.get("_env") or {}),
        directory=arguments.get("_chdir") or "",
    )
    return ended.exit_code == 0, output(ended.stdout.splitlines(), ended.stderr.splitlines())


def environment(given: Mapping[str, Any]) -> dict[str, str]:
    """`_env` as it is meant: pyinfra's hidden values print as something else."""
    return {name: value.unmask() if isinstance(value, HiddenValue) else str(value) for name, value in given.items()}


def output(stdout: Sequence[str] = (), stderr: Sequence[str] = ()) -> CommandOutput:
    return CommandOutput([*(OutputLine("stdout", text) for text in stdout), *(OutputLine("stderr", text) for text in stderr)])


# ---------------------------------------------------------------- files


def put_file(station: Station, source: str | IO[Any], path: str, arguments: Mapping[str, Any], log: Log) -> bool:
    with _told(log) as outcome:
        refuse_posix(arguments)
        with open(source, "rb") if isinstance(source, str) else nullcontext(source) as opened:
            files.put(station, opened, path)
    return outcome["ok"]


def get_file(station: Station, path: str, destination: str | IO[Any], arguments: Mapping[str, Any], log: Log) -> bool:
    with _told(log) as outcome:
        refuse_posix(arguments)
        if isinstance(destination, str):
            files.get_to(station, path, Path(destination))
        else:
            files.get(station, path, destination)
    return outcome["ok"]


@contextmanager
def _told(log: Log) -> Iterator[dict[str, bool]]:
    outcome = {"ok": False}
    try:
        yield outcome
        outcome["ok"] = True
    except OpdeployError as error:
        log(one_line(error))
    except OSError as error:
        log(f"{error.filename or 'the file'}: {error.strerror or error}")
