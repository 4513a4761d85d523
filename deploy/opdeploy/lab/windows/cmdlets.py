"""A listed cmdlet's call: bound against the real table, then done by its model; one without a model is an error.

The models are in `cmdlets_users`, `cmdlets_services`, `cmdlets_firewall`, `cmdlets_tasks` and `cmdlets_items`; each has a
table ``COMMANDS`` of functions (state, token, bound call) -> rows of properties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import (
    cmdlets_firewall,
    cmdlets_items,
    cmdlets_machine,
    cmdlets_services,
    cmdlets_tasks,
    cmdlets_users,
    errors,
)
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound, bind
from opdeploy.lab.windows.state import Json, State

Model = Callable[[State, Token, Bound], list[Json] | list[str]]
MODELS: dict[str, Model] = {
    **cmdlets_users.COMMANDS,
    **cmdlets_services.COMMANDS,
    **cmdlets_firewall.COMMANDS,
    **cmdlets_tasks.COMMANDS,
    **cmdlets_items.COMMANDS,
    **cmdlets_machine.COMMANDS,
}


def run(state: State, token: Token, name: str, parameters: dict[str, Any]) -> list[Json] | list[str]:
    """Raises Refused with the error that PowerShell, the module or Windows gives."""
    bound = bind(name, parameters)
    model = MODELS.get(bound.name)
    if model is None:
        raise errors.not_modelled(f"the cmdlet {bound.name}")
    return model(state, token, bound)
