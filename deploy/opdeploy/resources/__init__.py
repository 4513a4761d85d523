"""The kinds, one file each: every module here that defines a `Resource` with a KIND is one."""

from __future__ import annotations

import importlib
import pkgutil

from opdeploy.resources.base import Resource, Scoped


def _kinds() -> dict[str, type[Resource]]:
    found: dict[str, type[Resource]] = {}
    for module in pkgutil.iter_modules(__path__):
        for thing in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(thing, type) and issubclass(thing, Resource) and thing not in (Resource, Scoped):
                found[thing.KIND] = thing
    return {kind: found[kind] for kind in sorted(found) if kind != "scope"}


KINDS = _kinds()
