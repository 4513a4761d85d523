"""The programs that the agent may run: `sc.exe` in the sub-commands that it lists, exit codes and what the registry keeps;
`auditpol.exe` and `wevtutil.exe` are in `auditing` and `cmdlets_logs`.

Exit codes are Win32's, as sc.exe returns them; what it prints is for people and stands here in English.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opdeploy.lab.windows import accounts, auditing, cmdlets_logs, errors, registry, services
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.state import Json, State

BAD_COMMAND_LINE, NO_SUCH_SERVICE, BAD_ACCOUNT, BAD_PARAMETER = 1639, 1060, 1057, 87
_MESSAGES = {
    5: "Access is denied.",
    BAD_PARAMETER: "The parameter is incorrect.",
    BAD_ACCOUNT: "The account name is invalid or does not exist, or the password is invalid for the account name specified.",
    NO_SUCH_SERVICE: "The specified service does not exist as an installed service.",
    1336: "The access control list (ACL) structure is invalid.",
    BAD_COMMAND_LINE: "Invalid command line argument.",
}
_BUILTIN_ACCOUNTS = ("localsystem", "nt authority\\localservice", "nt authority\\networkservice", "nt authority\\system")
_ERROR_CONTROL = {"ignore": 0, "normal": 1, "severe": 2, "critical": 3}
_TYPES = {"own": 0x10, "share": 0x20}
OTHERS = auditing.PROGRAMS | cmdlets_logs.PROGRAMS


@dataclass(frozen=True)
class Run:
    """A program that has ended."""

    exit: int
    stdout: bytes = b""
    stderr: bytes = b""


class _Fails(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(state: State, token: Token, program: str, line: str) -> Run:
    """Raises Refused for a program or sub-command that the lab has no model of."""
    words = split(line)
    if words and (other := OTHERS.get((program.lower(), words[0].lower()))):
        return Run(*other(state, token, words[1:]))
    command = COMMANDS.get(words[0].lower()) if program.lower() == "sc.exe" and words else None
    if command is None:
        raise errors.not_modelled(f"{program} {line.split(' ')[0]}")
    try:
        if not token.elevated:
            raise _Fails(5)
        if len(words) < 2:
            raise _Fails(BAD_COMMAND_LINE)
        key = services.find(state, words[1])
        if key is None:
            raise _Fails(NO_SUCH_SERVICE)
        said = command(state, key, words[2:])
    except _Fails as failed:
        text = _MESSAGES[failed.code]
        return Run(failed.code, f"[SC] {words[0]} FAILED {failed.code}:\r\n\r\n{text}\r\n\r\n".encode())
    return Run(0, said.encode())


def split(line: str) -> list[str]:
    """A command line into arguments, as CommandLineToArgvW and the C runtime do it."""
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
            continue
        word, at = _word(line, at)
        words.append(word)
    return words


def _word(line: str, at: int) -> tuple[str, int]:
    word, quoted = "", False
    while at < len(line) and (quoted or line[at] not in " \t"):
        bars = 0
        while at < len(line) and line[at] == "\\":
            bars, at = bars + 1, at + 1
        if at < len(line) and line[at] == '"':
            word += "\\" * (bars // 2)
            if bars % 2:
                word += '"'
            else:
                quoted = not quoted
            at += 1
        else:
            word += "\\" * bars
            if at < len(line) and (quoted or line[at] not in " \t"):
                word, at = word + line[at], at + 1
    return word, at


def _options(words: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """`name= value` pairs: the blank after the sign is part of sc.exe's grammar."""
    names = [word.lower() for word in words[::2]]
    if len(words) % 2 or any(name not in known for name in names):
        raise _Fails(BAD_COMMAND_LINE)
    return {name.removesuffix("="): value for name, value in zip(names, words[1::2], strict=True)}


# ---------------------------------------------------------------- sub-commands

_CONFIG = ("type=", "start=", "error=", "binpath=", "group=", "depend=", "obj=", "displayname=", "password=")


def _config(state: State, key: Json, words: list[str]) -> str:
    options = _options(words, _CONFIG)
    if "obj" in options:
        _check_account(state, options["obj"], "password" in options)
    for option in options:
        if option not in _SETTERS:
            raise errors.not_modelled(f"sc.exe config {option}=")
    for option, value in options.items():
        _SETTERS[option](key, value)
    return "[SC] ChangeServiceConfig SUCCESS\r\n"


def _check_account(state: State, account: str, password: bool) -> None:
    """A managed or virtual account has no password that could be given (ChangeServiceConfigW, lpPassword)."""
    if account.lower() in _BUILTIN_ACCOUNTS:
        return
    own = account.endswith("$") or account.lower().startswith("nt service\\")
    if accounts.sid_of(state, account) is None or (own and password):
        raise _Fails(BAD_ACCOUNT)


def _set_start(key: Json, value: str) -> None:
    number = services.START.get(value.lower())
    if number is None:
        raise _Fails(BAD_COMMAND_LINE)
    registry.set_value(key, "Start", "DWord", number)
    if value.lower() == "delayed-auto":
        registry.set_value(key, "DelayedAutostart", "DWord", 1)
    elif registry.value(key, "DelayedAutostart") is not None:
        registry.set_value(key, "DelayedAutostart", "DWord", 0)


def _set_dependencies(key: Json, value: str) -> None:
    names = [name for name in value.split("/") if name]
    for name, wanted in (("DependOnService", False), ("DependOnGroup", True)):
        chosen = [one.removeprefix("+") for one in names if one.startswith("+") is wanted]
        if chosen:
            registry.set_value(key, name, "MultiString", chosen)
        else:
            registry.remove_value(key, name)


def _set_number(name: str, words: dict[str, int]) -> Callable[[Json, str], None]:
    def set_it(key: Json, value: str) -> None:
        if value.lower() not in words:
            raise _Fails(BAD_COMMAND_LINE)
        registry.set_value(key, name, "DWord", words[value.lower()])

    return set_it


def _set_text(name: str, kind: str = "String") -> Callable[[Json, str], None]:
    return lambda key, value: registry.set_value(key, name, kind, value)


_SETTERS: dict[str, Callable[[Json, str], None]] = {
    "start": _set_start,
    "depend": _set_dependencies,
    "type": _set_number("Type", _TYPES),
    "error": _set_number("ErrorControl", _ERROR_CONTROL),
    "binpath": _set_text("ImagePath", "ExpandString"),
    "obj": _set_text("ObjectName"),
    "displayname": _set_text("DisplayName"),
    "group": _set_text("Group"),
    "password": lambda key, value: None,  # kept where nobody reads it
}


def _failure(state: State, key: Json, words: list[str]) -> str:
    options = _options(words, ("reset=", "reboot=", "command=", "actions="))
    if ("reset" in options) is not ("actions" in options):
        raise _Fails(BAD_COMMAND_LINE)
    if "actions" in options:
        actions, reset = _actions(options["actions"]), _seconds(options["reset"])
        blob = services.failure_actions(reset if actions else 0, actions)  # without actions both are deleted (winsvc.h)
        registry.set_value(key, "FailureActions", "Binary", blob)
    for option, name in (("command", "FailureCommand"), ("reboot", "RebootMessage")):
        if option in options:
            _set_or_remove(key, name, options[option])
    return "[SC] ChangeServiceConfig2 SUCCESS\r\n"


def _seconds(text: str) -> int:
    if text.upper() == "INFINITE":
        return 0xFFFFFFFF
    if not text.isdigit():
        raise _Fails(BAD_COMMAND_LINE)
    return int(text)


def _actions(text: str) -> list[tuple[str, int]]:
    if not text:
        return []
    words = text.lower().split("/")
    pairs = [(words[at], words[at + 1] if at + 1 < len(words) else "") for at in range(0, len(words), 2)]
    for action, delay in pairs:
        if action not in services.ACTIONS or not (delay.isdigit() or services.ACTIONS[action] == 0):
            raise _Fails(BAD_COMMAND_LINE)
    return [(action, int(delay or 0)) for action, delay in pairs]


def _set_or_remove(key: Json, name: str, text: str) -> None:
    if text:
        registry.set_value(key, name, "String", text)
    else:
        registry.remove_value(key, name)


def _failure_flag(state: State, key: Json, words: list[str]) -> str:
    if words not in (["0"], ["1"]):
        raise _Fails(BAD_COMMAND_LINE)
    registry.set_value(key, "FailureActionsOnNonCrashFailures", "DWord", int(words[0]))
    return "[SC] ChangeServiceConfig2 SUCCESS\r\n"


def _description(state: State, key: Json, words: list[str]) -> str:
    _set_or_remove(key, "Description", words[0] if words else "")
    return "[SC] ChangeServiceConfig2 SUCCESS\r\n"


def _delete(state: State, key: Json, words: list[str]) -> str:
    if services.runs(state, key["name"]):
        raise errors.not_modelled("a running service that is marked for deletion")
    services.delete(state, key["name"])
    return "[SC] DeleteService SUCCESS\r\n"


def _sdshow(state: State, key: Json, words: list[str]) -> str:
    return f"\r\n{services.shown_descriptor(key)}\r\n"


def _sdset(state: State, key: Json, words: list[str]) -> str:
    if len(words) != 1:
        raise _Fails(BAD_COMMAND_LINE)
    try:
        services.set_descriptor(state, key["name"], words[0])
    except (ValueError, KeyError):
        raise _Fails(BAD_PARAMETER) from None
    return "[SC] SetServiceObjectSecurity SUCCESS\r\n"


COMMANDS: dict[str, Callable[[State, Json, list[str]], str]] = {
    "config": _config,
    "failure": _failure,
    "failureflag": _failure_flag,
    "description": _description,
    "delete": _delete,
    "sdshow": _sdshow,
    "sdset": _sdset,
}
