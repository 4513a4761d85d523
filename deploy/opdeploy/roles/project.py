"""A project's own files, which resources are made from: `templates/` (filled in) and `files/` (taken as they are).

They stand beside `inventories/` and beside each folder of roles. This is where they are read, while settings are
validated, so that a role's generator stays pure. A name that is not there is an error of the inventory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from opdeploy.inventory import near
from opdeploy.model import Secret
from opdeploy.rendering import secrets
from opdeploy.resources.installers import LocalFile

Found = TypeVar("Found")


@dataclass(frozen=True)
class Project:
    """The places where a project's files are looked for, in that order; `used` is what was found, by name."""

    places: tuple[Path, ...]
    used: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def around(cls, inventory: Path, roles: Iterable[Path]) -> Project:
        beside = [inventory.absolute().parent.parent, *(folder.absolute().parent for folder in roles)]
        return cls(tuple(dict.fromkeys(beside)))

    def read(self, folder: str, name: str) -> bytes:
        """A file of `templates/` or `files/`. Raises ValueError where it is not there."""
        full = _below(folder, name)
        if full not in self.used:
            self.used[full] = self._found(full, Path.read_bytes)
        return self.used[full]

    def local(self, name: str) -> LocalFile:
        """A file of `files/` that may be too big to be held: where it is, and its hash. Raises ValueError."""
        full = _below(ProjectFile.FOLDER, name)
        found = self._found(full, lambda path: _local(name, path.resolve()))
        self.used[f"{full} (hash)"] = found.sha256.encode()
        return found

    def _found(self, name: str, read: Callable[[Path], Found]) -> Found:
        for place in self.places:
            try:
                return read(place / name)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "no such name"
                raise ValueError(f"{name} cannot be read: {reason}") from None
        hint = near(name, self._beside(name))
        raise ValueError(f"no such file: {name}" + (f" ({hint})" if hint else ""))

    def _beside(self, name: str) -> Iterator[str]:
        """What there is in the folder where a file should be."""
        for place in self.places:
            folder = (place / name).parent
            for entry in folder.iterdir() if folder.is_dir() else ():
                yield entry.relative_to(place).as_posix()


def _below(folder: str, name: str) -> str:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or not parts.name:
        raise ValueError(f"expected the name of a file below {folder}/, with / between folders")
    return f"{folder}/{parts}"


def _local(name: str, path: Path) -> LocalFile:
    state = path.stat()
    return LocalFile(name=name, path=str(path), size=state.st_size, sha256=_sha256(path, state.st_size, state.st_mtime_ns))


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    """Read once in a run, however many hosts are to have it, piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class ProjectFile:
    """A file of `files/`, read; in an inventory its name."""

    FOLDER: ClassVar[str] = "files"
    name: str
    data: bytes

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._of)

    @classmethod
    def _of(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError(f"expected the name of a file below {cls.FOLDER}/")
        project: Project = (info.context or {})["project"]
        return cls(value, project.read(cls.FOLDER, value))


@dataclass(frozen=True)
class Template(ProjectFile):
    """A file of `templates/`, read, in Jinja2's language; in an inventory its name."""

    FOLDER: ClassVar[str] = "templates"

    def filled(self, variables: Mapping[str, Any]) -> str:
        """The text with the variables in their places. Raises ValueError; no message shows a secret."""
        try:
            text = self.data.decode("utf-8-sig")
            return _ENVIRONMENT.from_string(text).render(_revealed(variables))
        except UnicodeDecodeError:
            raise ValueError(f"templates/{self.name} is not UTF-8 text") from None
        except TemplateSyntaxError as error:
            raise ValueError(f"templates/{self.name}, line {error.lineno}: {error.message}") from None
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if missing := _missing(text, variables) if isinstance(error, UndefinedError) else []:
                raise ValueError(f"templates/{self.name}: {missing[0]} is not given; set it in variables") from None
            told = "" if any(secrets(variables)) else f": {error}"
            raise ValueError(f"templates/{self.name} cannot be filled in: {type(error).__name__}{told}") from None


def _missing(text: str, variables: Mapping[str, Any]) -> list[str]:
    """The names in a template that nothing stands for: of the template's text, so none of them is a secret."""
    return sorted(meta.find_undeclared_variables(_ENVIRONMENT.parse(text)) - variables.keys() - _ENVIRONMENT.globals.keys())


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {name: _revealed(item) for name, item in value.items()}
    return [_revealed(item) for item in value] if isinstance(value, list | tuple) else value
