"""What a role's settings say of an installer: all that a package takes but its name."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import create_model

from opdeploy.resources.package import Package
from opdeploy.roles.settings import RoleSettings

OWN = ("name", "absent", "leftover")


class _Installer(RoleSettings):
    SAID_BY: ClassVar = (Package,)

    def package(self, name: str, **more: Any) -> Package:
        """The package that it brings; `more` is what the role itself knows of it. Raises ValidationError."""
        return Package(name=name, **{given: getattr(self, given) for given in self.model_fields_set} | more)


if TYPE_CHECKING:
    Installer = _Installer
else:
    _FIELDS = {name: (field.annotation, copy.copy(field)) for name, field in Package.model_fields.items() if name not in OWN}
    Installer = create_model("Installer", __base__=_Installer, __module__=__name__, **_FIELDS)
