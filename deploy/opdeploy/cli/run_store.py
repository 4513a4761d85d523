"""Which run store a command on an inventory works with, and that it is not another practice's.

A store knows a host by its name, and many practices have a ``db1``: the passwords, sign-offs and first values of the one must
never be taken for the other's.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from opdeploy import controller
from opdeploy.cli.options import Asked
from opdeploy.inventory import Inventory
from opdeploy.model import UsageError
from opdeploy.rendering import printable
from opdeploy.store import Store, practices


def opened(asked: Asked, inventory: Inventory) -> Store:
    """Raises UsageError for a store that can't be used, or not with this inventory."""
    store = Store.open(allowed(asked.store))
    try:
        check(store, inventory)
    except BaseException:
        store.close()
        raise
    return store


def allowed(named: Path | None) -> Path | None:
    """The folder: named by ``--store``, or this machine's; None for the account's own. Raises UsageError where two differ."""
    machine = controller.load()
    if machine.store and named and named.resolve() != machine.store.resolve():
        said = f"--store {named}: this machine's run store is {machine.store}: {machine.path}"
        raise UsageError(said, "leave --store out")
    return machine.store or named


def check(store: Store, inventory: Inventory) -> None:
    """Raises UsageError where a host is known from another practice, and never was one of this."""
    for host, known in practices.of(store, (host.name for host in inventory.hosts)).items():
        if not any(inventory.practice.is_also(one) for one in known):
            raise _of_another(host, printable(str(known[0])), store, inventory)


def _of_another(host: str, other: str, store: Store, inventory: Inventory) -> UsageError:
    told = f"{store.folder} has records of {host} of another practice, {other}: they would be taken for this one's"
    ways = (
        "another practice needs a run store of its own: --store DIR",
        "the same one in two folders: opdeploy_practice: NAME in both, then a plan of the other first (docs/inventory.md)",
        f"moved or renamed: opdeploy store moved {shlex.quote(other)} -i {shlex.quote(str(inventory.path))}",
    )
    return UsageError(told, "\n    ".join(ways))
