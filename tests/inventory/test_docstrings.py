"""What a setting's source says of it is read when asked for, never when a command starts."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from opdeploy import roles
from opdeploy.inventory.docstrings import says
from opdeploy.resources.package import Package
from opdeploy.resources.service import Service
from opdeploy.roles.installer import Installer


class Above(BaseModel):
    said: str = ""
    """Above:
    on two lines."""
    silent: str = ""
    named: str = Field(default="", description="by its field")
    """Not this."""


class Below(Above):
    said: str = "again"


def models(above: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in above.__subclasses__():
        yield model
        yield from models(model)


def test_the_text_below_it_or_that_of_its_field() -> None:
    assert [says(Below, name) for name in Below.model_fields] == ["Above:\non two lines.", "", "by its field"]


def test_an_installer_says_what_a_package_does() -> None:
    assert says(Installer, "sha256") == says(Package, "sha256") != ""


def test_no_model_has_pydantic_read_its_source_when_it_is_made() -> None:
    roles.find()
    ours = [model for model in models(BaseModel) if "opdeploy" in model.__module__]
    assert Service in ours
    assert [model for model in ours if model.model_config.get("use_attribute_docstrings")] == []
