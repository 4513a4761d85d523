"""Sizes of files as a person writes them and as a plan shows them: ``64MB``, ``1GB``, or a number of bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_UNITS = {"GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10}
_SIZE = re.compile(r"(\d+)\s*(GB|MB|KB)?", re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    """A number of bytes; units are powers of 1,024, as Windows has them."""

    bytes: int

    @classmethod
    def parse(cls, value: Any) -> Size:
        if isinstance(value, cls):
            return value
        found = _SIZE.fullmatch(str(value).strip()) if isinstance(value, int | str) and not isinstance(value, bool) else None
        if not found:
            raise ValueError("expected a size: 64MB, 1GB, or a number of bytes")
        return cls(int(found[1]) * _UNITS.get((found[2] or "").upper(), 1))

    def __str__(self) -> str:
        unit = next((unit for unit, size in _UNITS.items() if self.bytes and not self.bytes % size), "")
        return f"{self.bytes // _UNITS.get(unit, 1)}{unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )
