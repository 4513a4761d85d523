"""The controller's configuration: what holds for this machine, whichever inventory it works on.

The machine's file, where there is one, is the only one that counts: an environment variable must not be a way around its
approval policy. Without it: ``$OPDEPLOY_CONFIG``, else ``$XDG_CONFIG_HOME/opdeploy/config.yml``, else nothing is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from opdeploy import xdg
from opdeploy.inventory.problems import InventoryError, Position, Problem, shown
from opdeploy.inventory.secrets import FORMS, Resolver
from opdeploy.inventory.validate import validated
from opdeploy.inventory.yaml_file import Node, parse
from opdeploy.model import Secret

MACHINE = Path("/etc/opdeploy/config.yml")
VARIABLE = "OPDEPLOY_CONFIG"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Controller:
    """`path` is where it stands, None for nowhere; `policy` the approval policy; `store` the run store. Paths are absolute.

    Who is told is not in it (`addresses`): that may be for the nightly check's account alone to read.
    """

    path: Path | None = None
    policy: Path | None = None
    store: Path | None = None


def _hidden(value: object) -> object:
    if not isinstance(value, Secret):
        raise ValueError(f"an address to notify holds a token and may not stand here: write {FORMS}")
    return value


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    policy: str = ""
    """The approval policy: a file that another account owns. A relative path begins at this file's folder."""

    store: str = ""
    """The run store of everybody who works on this machine. A relative path begins at this file's folder."""

    notify: Any = None


class _Addresses(_Settings):
    notify: tuple[Annotated[Secret, BeforeValidator(_hidden)], ...] = ()
    """Who is told of a drift check: addresses as apprise takes them, each from a file or an environment variable."""


def load(environment: Mapping[str, str] = os.environ, machine: Path = MACHINE) -> Controller:
    """This machine's configuration. Raises InventoryError with what is wrong in which line."""
    path = _path(environment, machine)
    if path is None:
        return Controller()
    node, problems = _parsed(path)
    if problems:
        raise InventoryError(problems)
    settings = validated(_Settings, node, "")
    return Controller(path.absolute(), _beside(path, settings.policy), _beside(path, settings.store))


def addresses(environment: Mapping[str, str] = os.environ, machine: Path = MACHINE) -> tuple[Secret, ...]:
    """Apprise URLs of those whom this machine's configuration names to be told. Raises InventoryError as `load` does."""
    path = _path(environment, machine)
    return read(path, _Addresses, environment).notify if path else ()


def _beside(path: Path, named: str) -> Path | None:
    return (path.parent / named).absolute() if named else None


def read(path: Path, model: type[M], environment: Mapping[str, str] = os.environ) -> M:
    """A YAML file of this machine as its model. Raises InventoryError with what is wrong in which line."""
    node, problems = _parsed(path)
    resolver = Resolver(path.parent, environment, problems, "this file's folder")
    node = resolver.resolved(node, "")
    if problems:
        raise InventoryError(problems)
    return validated(model, node, "")


def _parsed(path: Path) -> tuple[Node, list[Problem]]:
    """The document, and what is wrong in it. Raises InventoryError where there is none."""
    try:
        node, problems = parse(path.read_bytes(), shown(path))
    except OSError as error:
        raise _unreadable(path, error) from error
    if node is None:
        raise InventoryError(problems)
    return node, problems


def _path(environment: Mapping[str, str], machine: Path) -> Path | None:
    if _is_there(machine):
        return machine
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE])
    own = xdg.config(environment) / "opdeploy/config.yml"
    return own if _is_there(own) else None


def _is_there(path: Path) -> bool:
    """A file that may not be looked at, and a link to nowhere, are there: they must not pass for no policy."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


def _unreadable(path: Path, error: OSError) -> InventoryError:
    return InventoryError([Problem(Position(shown(path)), "", f"cannot be read: {error.strerror}")])
