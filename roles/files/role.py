"""Files on a host: from a template of the project with variables filled in, or from a file of the project as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from opdeploy.inventory import Host
from opdeploy.rendering import secrets
from opdeploy.resources.base import Resource
from opdeploy.resources.file import Encoding, File, LineEnds
from opdeploy.resources.values import LocalPath
from opdeploy.roles import ProjectFile, Required, RoleSettings, Template, keyed

NEEDS = ("op_folders",)


class Content(RoleSettings):
    """One file: what it is made from."""

    path: LocalPath
    """Where it is on the host: what stands before the colon."""
    template: Template | None = None
    """A Jinja2 template below templates/; a variable that is not given is an error."""
    source: ProjectFile | None = None
    """A file below files/, byte for byte."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """What the template is filled with; a secret among them hides the whole file in plans, reports and logs."""
    encoding: Encoding = "utf-8"
    """How the text of a template is written."""
    line_ends: LineEnds = "crlf"
    """How the lines of a template end."""
    absent: bool = False
    """It must not be there."""

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if self.absent + (self.template is not None) + (self.source is not None) != 1:
            raise ValueError("expected one of template (below templates/), source (below files/) and absent: true")
        if self.template is None and (given := self.model_fields_set & {"variables", "encoding", "line_ends"}):
            raise ValueError(f"{min(given)} goes with a template only")
        try:
            self.file()
        except ValidationError as error:
            raise ValueError(str(error.errors()[0].get("ctx", {}).get("error", error.errors()[0]["msg"]))) from None
        return self

    def file(self) -> File:
        if self.template is not None:
            text = self.template.filled(self.variables)
            how = {"encoding": self.encoding, "line_ends": self.line_ends, "sensitive": any(secrets(self.variables))}
            return File.model_validate({"path": self.path, "content": text, **how})
        return File(path=self.path, content=self.source.data if self.source else None, absent=self.absent)


class Settings(RoleSettings):
    files: Annotated[dict[str, Content], keyed("path")] = Required("each file's path on the host, and below it its template")
    """Each file's path on the host, and below it what it is made from."""


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    yield from (content.file() for content in settings.files.values())
