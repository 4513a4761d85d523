"""What the service control manager does when a service fails: the `FailureActions` value of a service's registry key.

MS-SCMR 2.2.39 SERVICE_FAILURE_ACTIONS, as stored: little-endian DWORDs resetSeconds, a pointer's remains, a pointer's
remains, count, a pointer's remains, then count times (type, delay in milliseconds). The command and the message that
the pointers meant are values of their own beside it, `FailureCommand` and `RebootMessage`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

NEVER = 0xFFFFFFFF
KINDS = {0: "none", 1: "restart", 2: "reboot", 3: "run_command", 4: "own_restart"}
_TYPES = {kind: number for number, kind in KINDS.items()}
_HEADER = struct.Struct("<5I")
_ACTION = struct.Struct("<2I")
_ACTIONS_POINTER = 0x14


class Action(NamedTuple):
    """One step: `kind` of KINDS (or `type 7` for a number not known here) after `delay_ms`."""

    kind: str
    delay_ms: int


@dataclass(frozen=True)
class FailureActions:
    """The steps for the first, second … failure; the last one repeats, so a trailing `none` is not padding.

    `reset_seconds`: the failure count starts anew after so long without one; None: never.
    """

    reset_seconds: int | None
    actions: tuple[Action, ...]
    command: str | None = None
    reboot_message: str | None = None


def parse(blob: bytes | None, command: str | None = None, reboot_message: str | None = None) -> FailureActions:
    """Read the value; None is a service without one, which takes no action. Raises ValueError on less than a header."""
    if blob is None:
        return FailureActions(0, (), command, reboot_message)
    if len(blob) < _HEADER.size:
        raise ValueError(f"FailureActions of {len(blob)} bytes: expected at least {_HEADER.size} (MS-SCMR 2.2.39)")
    reset, _, _, count, _ = _HEADER.unpack_from(blob)
    stored = min(count, (len(blob) - _HEADER.size) // _ACTION.size)
    pairs = (_ACTION.unpack_from(blob, _HEADER.size + index * _ACTION.size) for index in range(stored))
    actions = tuple(Action(KINDS.get(number, f"type {number}"), delay) for number, delay in pairs)
    return FailureActions(None if reset == NEVER else reset, actions, command, reboot_message)


def render(failure: FailureActions) -> bytes:
    """Print the value as Windows stores it. Raises ValueError on an action or a time it has no number for."""
    reset = NEVER if failure.reset_seconds is None else _dword(failure.reset_seconds, "reset_seconds", NEVER - 1)
    header = _HEADER.pack(reset, 0, 0, len(failure.actions), _ACTIONS_POINTER)
    steps = (_ACTION.pack(_number(kind), _dword(delay, "delay_ms", NEVER)) for kind, delay in failure.actions)
    return header + b"".join(steps)


def _number(kind: str) -> int:
    if kind in _TYPES:
        return _TYPES[kind]
    word, _, digits = kind.partition(" ")
    if word == "type" and digits.isdecimal():
        return _dword(int(digits), "action type", NEVER)
    raise ValueError(f"{kind!r} is no failure action: expected one of {', '.join(_TYPES)}")


def _dword(value: int, what: str, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{what} {value}: expected 0 to {most}")
    return value
