"""Finds roles by folder, and loads each `role.py`. A folder that is no role is an error that says where, never a traceback."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from opdeploy.inventory import Host, near
from opdeploy.inventory.problems import shown
from opdeploy.model import UsageError
from opdeploy.rendering import without_secrets
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.desired import Because
from opdeploy.roles.settings import RoleSettings

OWN = Path(__file__).parents[3] / "roles"
IS = "a role is a folder with a role.py: class Settings(RoleSettings) and def resources(settings, host)"
_NAME = re.compile(r"[a-z][a-z0-9_]*")

Generator = Callable[[Any, Host], Iterable[Resource | Scope | Because]]


@dataclass(frozen=True)
class Role:
    """One role: its settings' model, the roles that come before it, and its generator of resources."""

    name: str
    folder: Path
    settings: type[RoleSettings]
    needs: tuple[str, ...]
    resources: Generator
    says: str = ""  # the first line of its role.py

    @property
    def file(self) -> Path:
        return self.folder / "role.py"


@dataclass(frozen=True)
class Roles:
    """All roles by name, what another needs before it; and the folders that they were found in."""

    by_name: Mapping[str, Role]
    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[Role]:
        return iter(self.by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.by_name)

    def only(self, names: Sequence[str]) -> frozenset[str]:
        """The roles of these names, all without one. Raises UsageError on a name that no role has."""
        for name in names:
            if name not in self.by_name:
                raise UsageError(f"no role {name}", near(name, self.names) or f"there are: {', '.join(self.names)}")
        return frozenset(names or self.names)


def find(paths: Iterable[Path] = (), own: Path = OWN) -> Roles:
    """The project's own roles and those of further folders. Raises UsageError on the first that is none."""
    folders = tuple(dict.fromkeys(Path(path).absolute() for path in (own, *paths)))
    found: dict[str, Role] = {}
    for folder in (each for path in folders for each in _folders(path)):
        if folder.name in found:
            both = f"{shown(found[folder.name].folder)} and {shown(folder)}"
            raise UsageError(f"two roles are called {folder.name}: {both}", "rename one of them")
        found[folder.name] = _role(folder)
    return Roles(_ordered(found), folders)


def _folders(path: Path) -> list[Path]:
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise UsageError(f"{shown(path)}: no roles can be read here: {error.strerror}", "correct --roles-path") from None
    return [entry for entry in entries if entry.is_dir() and entry.name[0] not in "._"]


def _role(folder: Path) -> Role:
    if not _NAME.fullmatch(folder.name) or folder.name.startswith("ansible_"):
        raise UsageError(f"{shown(folder)}: no name for a role", "small letters, digits and _; not beginning with ansible_")
    file = folder / "role.py"
    module = _loaded(file)
    settings, generator, needs = (getattr(module, name, None) for name in ("Settings", "resources", "NEEDS"))
    if not (isinstance(settings, type) and issubclass(settings, RoleSettings)):
        raise UsageError(f"{shown(file)}:1  there is no class Settings(RoleSettings) here", IS)
    if not callable(generator):
        raise UsageError(f"{shown(file)}:1  there is no def resources(settings, host) here", IS)
    if needs is None:
        needs = ()
    if not isinstance(needs, tuple) or not all(isinstance(name, str) for name in needs):
        raise UsageError(f"{shown(file)}:1  NEEDS is no tuple of roles' names", 'write NEEDS = ("other_role",)')
    says = (module.__doc__ or "").strip().partition("\n")[0]
    return Role(folder.name, folder, settings, needs, generator, says)


def _loaded(file: Path) -> ModuleType:
    """The module, under a name of its own: two roles paths may hold two roles that never meet."""
    try:
        source = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{shown(file.parent)}: a folder of roles/ without a role.py", IS) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{shown(file)}: cannot be read: {error}", IS) from None
    module = ModuleType(f"_opdeploy_role_{file.parent.name}_{sha256(str(file).encode()).hexdigest()[:8]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where pydantic looks up what annotations name
    try:
        exec(compile(source, str(file), "exec"), module.__dict__)  # noqa: S102 - a role is a program of the project
    except Exception as error:
        raise broken(file, error) from error
    return module


def broken(file: Path, error: Exception) -> UsageError:
    """The error of a role's own code as a person reads it: the line of `role.py`, and what Python said."""
    said = error.msg if isinstance(error, SyntaxError) else without_secrets(f"{type(error).__name__}: {error}")
    return UsageError(f"{shown(file)}:{line_of(file, error)}  the role is broken: {said}", IS)


def line_of(file: Path, error: BaseException) -> int:
    """The last line of `file` that an error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 1
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(file)]
    return lines[-1] if lines else 1


# ---------------------------------------------------------------- order


def _ordered(found: Mapping[str, Role]) -> dict[str, Role]:
    """By name, but what a role needs comes before it. Raises UsageError on a cycle and on a name that there is not."""
    done: dict[str, Role] = {}

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            circle = " → ".join([*above[above.index(name) :], name])
            raise UsageError(f"roles need each other in a circle: {circle}", f"take one name out of {_files(found, above)}")
        if name in done:
            return
        for needed in found[name].needs:
            if needed not in found:
                hint = near(needed, found) or f"there are: {', '.join(sorted(found))}"
                raise UsageError(f"{shown(found[name].file)}:1  NEEDS names {needed}, which is no role", hint)
            place(needed, (*above, name))
        done[name] = found[name]

    for name in sorted(found):
        place(name, ())
    return done


def _files(found: Mapping[str, Role], names: Iterable[str]) -> str:
    return " or ".join(f"NEEDS in {shown(found[name].file)}" for name in names)
