"""A listed cmdlet's call: bound against the real table, then done by its model; one without a model is an error.

The models are in the modules `cmdlets_…` beside this one; each has a table ``COMMANDS`` of functions (state, token, bound
call) -> rows of properties.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opdeploy.lab.windows import errors
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound, bind
from opdeploy.lab.windows.state import Json, State

Model = Callable[[State, Token, Bound], list[Json] | list[str]]


def _models() -> dict[str, Model]:
    found: dict[str, Model] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith("cmdlets_"):
            found |= importlib.import_module(f"{__package__}.{module.name}").COMMANDS
    return found


MODELS = _models()


def run(state: State, token: Token, name: str, parameters: dict[str, Any]) -> list[Json] | list[str]:
    """Raises Refused with the error that PowerShell, the module or Windows gives."""
    bound = bind(name, parameters)
    model = MODELS.get(bound.name)
    if model is None:
        raise errors.not_modelled(f"the cmdlet {bound.name}")
    return model(state, token, bound)
