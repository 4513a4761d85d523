"""Who is told of a drift check: whoever the controller's configuration names, also where the check came to nothing."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Any

import click

from opdeploy import controller, notify
from opdeploy.cli import terminal
from opdeploy.cli.options import Asked
from opdeploy.cli.unattended import NotWritten
from opdeploy.findings import Message, failure, not_written
from opdeploy.inventory import InventoryError
from opdeploy.model import OpdeployError
from opdeploy.rendering import without_secrets


def telling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command ``--no-notify`` and the addresses, as `urls`; tells them of whatever ends it before its end.

    It stands above `options.asking`, so that an inventory which isn't there is told too. Ctrl-C is somebody's own doing.
    """

    @click.option("--no-notify", "silent", is_flag=True, help="Tell nobody, and leave what was told as it is.")
    @functools.wraps(function)
    def told(silent: bool, **values: Any) -> Any:
        urls = () if silent else controller.addresses()
        try:
            return function(urls=urls, **values)
        except (Exception, SystemExit) as error:
            inventory = values.get("practice") or values.get("inventory") or "no inventory"
            notify.send(_message(error, str(inventory)), urls, terminal.say)
            raise

    return told


def narrowed(asked: Asked) -> list[str]:
    """What a command line limits a check to."""
    return [*(f"--limit {limit}" for limit in asked.limits), *(f"--role {role}" for role in asked.roles)]


def _message(error: BaseException, inventory: str) -> Message:
    if isinstance(error, NotWritten):
        return not_written(error.run, _why(error))
    return failure(inventory, _why(error), socket.gethostname())


def _why(error: BaseException) -> str:
    """What may leave the controller: an inventory's mistakes quote it, so their places only; a bug may quote anything."""
    if isinstance(error, InventoryError):
        places = dict.fromkeys(str(problem.at) for problem in error.problems)
        return f"the inventory is wrong: {', '.join(places)}"
    if isinstance(error, OpdeployError):
        return without_secrets(error.message)
    if isinstance(error, SystemExit):
        return "it was ended from outside"
    return f"a bug in opdeploy: {type(error).__name__}"
