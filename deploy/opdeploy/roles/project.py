"""A project's own files, which resources are made from: `templates/` (filled in) and `files/` (taken as they are).

They stand beside `inventories/` and beside each folder of roles. This is where they are read, while settings are
validated, so that a role's generator stays pure. A name that is not there is an error of the inventory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from opdeploy.inventory import near
from opdeploy.model import Secret
from opdeploy.rendering import secrets

FOLDERS = ("templates", "files")


@dataclass(frozen=True)
class Project:
    """The places where a project's files are looked for, in that order."""

    places: tuple[Path, ...]

    @classmethod
    def around(cls, inventory: Path, roles: Iterable[Path]) -> Project:
        beside = [inventory.absolute().parent.parent, *(folder.absolute().parent for folder in roles)]
        return cls(tuple(dict.fromkeys(beside)))

    def read(self, folder: str, name: str) -> bytes:
        """A file of `templates/` or `files/`. Raises ValueError where it is not there."""
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or not parts.name:
            raise ValueError(f"expected the name of a file below {folder}/, with / between folders")
        for place in self.places:
            try:
                return (place / folder / parts).read_bytes()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "no such name"
                raise ValueError(f"{folder}/{name} cannot be read: {reason}") from None
        raise ValueError(_not_there(folder, name, [path for path, _ in self.files() if path.startswith(folder + "/")]))

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file, as name and path, in a stable order."""
        for place in self.places:
            for folder in FOLDERS:
                for path in sorted((place / folder).rglob("*")):
                    if path.is_file():
                        yield path.relative_to(place).as_posix(), path


def _not_there(folder: str, name: str, names: list[str]) -> str:
    hint = near(f"{folder}/{name}", names)
    return f"no such file: {folder}/{name}" + (f" ({hint})" if hint else "")


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
            template = _ENVIRONMENT.from_string(self.data.decode("utf-8-sig"))
            return template.render(_revealed(variables))
        except UnicodeDecodeError:
            raise ValueError(f"templates/{self.name} is not UTF-8 text") from None
        except TemplateSyntaxError as error:
            raise ValueError(f"templates/{self.name}, line {error.lineno}: {error.message}") from None
        except UndefinedError as error:
            raise ValueError(f"templates/{self.name}: {error.message}; set it in variables") from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            told = "" if any(secrets(variables)) else f": {error}"
            raise ValueError(f"templates/{self.name} cannot be filled in: {type(error).__name__}{told}") from None


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {name: _revealed(item) for name, item in value.items()}
    return [_revealed(item) for item in value] if isinstance(value, list | tuple) else value
