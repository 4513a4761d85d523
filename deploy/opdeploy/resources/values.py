"""Values that several kinds share, as a person writes them and as a plan shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

# A validation context: what a host has may be what an inventory must not ask for, and is then no error.
OBSERVED = {"observed": True}


def observed(info: ValidationInfo) -> bool:
    return info.context == OBSERVED


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")


def span(text: str) -> float:
    """Seconds in ``1d``, ``1h30m``, ``90s``, ``500ms`` or plain seconds. Raises ValueError on anything else."""
    text = text.strip().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    pieces = _SPAN.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise ValueError(f"{text!r} is no length of time: write 90s, 5m, 1h30m or 1d")
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


@dataclass(frozen=True)
class Duration:
    """A length of time in seconds; compared by length, shown as ``1h30m``."""

    seconds: float

    @classmethod
    def parse(cls, value: Any) -> Duration:
        if isinstance(value, cls):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("expected a length of time: 90s, 5m, 1h30m or 1d")
        return cls(span(str(value)))

    def __str__(self) -> str:
        left, text = round(self.seconds * 1000), ""
        for unit, size in _UNITS.items():
            count, left = divmod(left, round(size * 1000))
            text += f"{count}{unit}" if count else ""
        return text or "0s"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _clean(text: str) -> str:
    if not text.strip() or text != text.strip():
        raise ValueError("must not be empty, nor begin or end with a blank")
    if any(ord(char) < 32 for char in text):
        raise ValueError("must not hold control characters")
    return text


def _service_name(text: str) -> str:
    if len(text) > 256 or re.search(r'[/\\"*?\[\]]', text):
        raise ValueError(f"{text!r} is no service's short name: up to 256 characters, none of / \\ \" * ? [ ]")
    return text


PATH_LENGTH = 247  # of a folder without the opt-in to long paths (CreateDirectoryW: MAX_PATH less an 8.3 name)


def _local_path(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]:\\[^\x00-\x1f<>:\"/|?*]*", text) or any(p in (".", "..") for p in text.split("\\")):
        raise ValueError(r"expected a path on the host like D:\OP\data: a drive, backslashes, no wildcard")
    if len(text) > PATH_LENGTH:
        raise ValueError(f"a path may have {PATH_LENGTH} characters, not {len(text)}: Windows PowerShell takes no longer one")
    return text if len(text) == 3 else text.rstrip("\\")


Text = Annotated[str, AfterValidator(_clean)]
ServiceName = Annotated[Text, AfterValidator(_service_name)]
LocalPath = Annotated[str, AfterValidator(_local_path)]
