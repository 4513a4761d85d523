"""The options that several commands share, and what they come to: which hosts of which inventory, by which roles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from opdeploy.cli.place import Place
from opdeploy.model import UsageError

INVENTORIES = "inventories"
VARIABLE = "OPDEPLOY_INVENTORY"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Asked:
    """What a command line says of hosts. `store` is None for the default one."""

    inventory: Path
    roles_path: tuple[Path, ...] = ()
    store: Path | None = None
    limits: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


def default_inventory(below: Path = Path(INVENTORIES)) -> Path:
    """The one inventory of the working directory. Raises UsageError where that is none or not the only one."""
    found = sorted(path.name for path in below.iterdir() if path.is_dir()) if below.is_dir() else []
    if len(found) == 1:
        return below / found[0]
    there = f"{below}/ here has {', '.join(found)}" if found else f"there is no {below}/ here"
    raise UsageError("which inventory?", f"name it with -i DIR or {VARIABLE} ({there})")


def _store(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and isinstance(context.obj, Place):
        context.obj.store = value
    return value


_PATH = click.Path(path_type=Path)
inventory = click.option(
    "-i",
    "--inventory",
    type=_PATH,
    metavar="DIR",
    envvar=VARIABLE,
    help=f"The practice's inventory. Default: ${VARIABLE}, else the only one in ./{INVENTORIES}.",
)
practice = click.argument("practice", type=_PATH, required=False)
roles_path = click.option(
    "--roles-path", type=_PATH, metavar="DIR", multiple=True, help="A further folder of roles. May be given several times."
)
store = click.option(
    "--store",
    type=_PATH,
    metavar="DIR",
    callback=_store,
    help="The run store: records and the key. Default: this machine's, else $XDG_STATE_HOME/opdeploy.",
)
limit = click.option(
    "--limit", "limits", metavar="PATTERN", multiple=True, help="Only these hosts: names, groups, globs; !NAME leaves out."
)
role = click.option("--role", "roles", metavar="NAME", multiple=True, help="Only what these roles ask for.")
output = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people, or one JSON document."
)


report_output = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "html", "json", "csv", "junit"]),
    default="text",
    help="For people: text, or one HTML file; for programs: JSON, CSV, JUnit's XML.",
)


def _one(practice: Path | None, named: Path | None) -> Path | None:
    """The inventory, named in either way. Raises UsageError where both were said on the command line, and differ."""
    source = click.get_current_context().get_parameter_source("inventory")
    if practice and source == click.core.ParameterSource.COMMANDLINE and practice != named:
        raise UsageError(f"{practice} or -i {named}?", "name one inventory")
    return practice or named


def asking(*options: Decorator, default: Callable[[], Path] = default_inventory) -> Decorator:
    """Gives a command the options, and their values as one `Asked`, its first argument."""

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def packed(**values: Any) -> Any:
            if click.get_current_context().invoked_subcommand:
                return None  # `plan show`: what `plan` alone would need is not asked for
            asked = {name: values.pop(name) for name in Asked.__dataclass_fields__ if name in values}
            asked["inventory"] = _one(values.pop("practice", None), asked["inventory"]) or default()
            return function(Asked(**asked), **values)

        command: Callable[..., Any] = packed
        for option in reversed(options):
            command = option(command)
        return command

    return decorated
