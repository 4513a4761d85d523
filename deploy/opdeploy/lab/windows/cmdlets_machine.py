"""The machine as a whole: Restart-Computer. What was started before is gone after it, every session among it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import cmdlets_features, jobs, registry
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Json, State

WAITING = (
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired",
)
"""Keys that are there while Windows waits to be started anew."""


def restart_computer(state: State, token: Token, call: Bound) -> list[Json]:
    if not token.elevated:
        text, id = "Privilege not held.", "RestartComputerFailed,Microsoft.PowerShell.Commands.RestartComputerCommand"
        raise Refused(text, "System.InvalidOperationException", id, "OperationStopped", -2146233079)
    for start in AT_START:
        start(state)
    state.booted = state.tick()
    return []


def _nothing_waits(state: State) -> None:
    for path in WAITING:
        registry.remove_key(state, path)


AT_START: list[Callable[[State], None]] = [_nothing_waits, jobs.restart, cmdlets_features.restart]
"""What happens to the state when Windows starts anew: each part of the lab that keeps something for then adds its own."""

COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {"Restart-Computer": restart_computer}
