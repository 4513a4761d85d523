"""How a package is told to be there, and in which version: by its uninstall key, a file, or a service.

Uninstall keys are read in both views of the registry, one read for all packages. A version is free text there [formats.md 7]:
it is compared as a version where it is one (numbers with dots, zeros at the end do not count), and as text where it is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from opdeploy.calls import file_stat, registry_read
from opdeploy.formats import uninstall
from opdeploy.formats.uninstall import InstalledProgram
from opdeploy.model import Unknown
from opdeploy.resources.base import Answers, Comparator, Reads
from opdeploy.resources.values import LocalPath, Text

UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
VALUES = [
    "DisplayName", "DisplayVersion", "Publisher", "UninstallString", "QuietUninstallString", "WindowsInstaller",
    "SystemComponent", "ParentKeyName", "ReleaseType",
]  # fmt: skip
BITS = (64, 32)
GUID = re.compile(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", re.IGNORECASE)
AT_LEAST = "at least "
# A version stands alone, or before a remark: "5.9.7 (3931)", "10.0.20348.1 (WinBuild.160101.0800)".
_VERSION = re.compile(r"(\d+(?:(?:\.|, ?)\d+)*)(\s*\(.*\))?")

# ---------------------------------------------------------------- versions


def _number(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.split(r"\.|, ?", text)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def number(text: str) -> tuple[int, ...] | None:
    """What a version is ordered by; None where the text is none."""
    found = _VERSION.fullmatch(text.strip())
    return _number(found[1]) if found else None


def _whole(text: str) -> tuple[int, ...] | None:
    """The same, for a text that says nothing besides."""
    found = _VERSION.fullmatch(text.strip())
    return _number(found[1]) if found and not found[2] else None


def satisfied(wanted: str, there: str) -> bool:
    """Whether what is there is the version that is wanted: ``2.5.9``, or ``at least 2.5.9``."""
    if wanted == there:
        return True
    if not wanted.startswith(AT_LEAST):
        return _whole(wanted) is not None and _whole(wanted) == _whole(there)
    least, found = number(wanted.removeprefix(AT_LEAST)), number(there)
    return least is not None and found is not None and found >= least


def undecided(wanted: str, there: str | None) -> str:
    """Why it can't be told whether what is there is what is wanted; '' if it can."""
    if there is None:
        return "what is there tells no version of itself"
    if wanted.startswith(AT_LEAST) and number(there) is None:
        return f"what is there calls itself {there!r}, which can't be held against {wanted!r}: ask for one version exactly"
    return ""


def newer(wanted: str, there: str) -> bool:
    """Whether what is there is beyond what is wanted."""
    asked, found = number(wanted.removeprefix(AT_LEAST)), number(there)
    return asked is not None and found is not None and found > asked


def _as_text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError(f"a version is text: write it in quotes, '{value}'")
    return value


def _can_be_ordered(text: str) -> str:
    if text.startswith(AT_LEAST) and _whole(text.removeprefix(AT_LEAST)) is None:
        raise ValueError(f"expected numbers with dots after '{AT_LEAST.strip()}': no other text has an order")
    return text


Version = Annotated[Text, BeforeValidator(_as_text), AfterValidator(_can_be_ordered)]
VERSION = Comparator(same=satisfied)

# ---------------------------------------------------------------- what is there


@dataclass(frozen=True)
class Installed:
    """`program`: what its uninstall key says, where it was told by one."""

    version: str | None
    program: InstalledProgram | None = None


def _product_code(text: str) -> str:
    if not GUID.fullmatch(text):
        raise ValueError("expected a product code like {9AAB1A21-2B6A-4F3B-A41C-0A3F5A1C2B3D}, in quotes")
    return text.upper()


def _key_name(text: str) -> str:
    if "\\" in text:
        raise ValueError(rf"expected the key's own name, without the path ...\{UNINSTALL.rpartition(chr(92))[2]}")
    return text


class Detect(BaseModel):
    """Exactly one way to tell; `view` for a key that both views of the registry have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_code: Annotated[Text, AfterValidator(_product_code)] | None = None
    """An MSI's product code."""
    key: Annotated[Text, AfterValidator(_key_name)] | None = None
    """The name of its uninstall key."""
    display_name: Text | None = None
    """Its name in Windows' list of programs; `*` stands for anything."""
    view: Literal[64, 32] | None = None
    """In which view of the registry, where both have such a key."""
    file: LocalPath | None = None
    """A file that it brings; its version is the program's."""
    service: Annotated[Text, AfterValidator(_key_name)] | None = None
    """A service that it brings."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.product_code, self.key, self.display_name, self.file, self.service)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("expected one of product_code, key, display_name, file and service")
        if self.view and not self.by_uninstall_key:
            raise ValueError("view goes with product_code, key and display_name only")
        return self

    @property
    def by_uninstall_key(self) -> bool:
        return self.file is None and self.service is None

    @property
    def tells_version(self) -> bool:
        return self.service is None

    def reads(self) -> Reads:
        if self.file:
            return {"file": file_stat(self.file)}
        if self.service:
            return {"service": registry_read(rf"SYSTEM\CurrentControlSet\Services\{self.service}", values=["Type"])}
        return {f"view_{bits}": registry_read(UNINSTALL, view=f"Registry{bits}", values=VALUES, depth=1) for bits in BITS}

    def found(self, answers: Answers) -> Installed | None:
        """What is there. Raises `Unknown` where that can't be told, or more than one thing could be meant."""
        if self.file:
            return _of_file(answers.file)
        if self.service:
            return Installed(None) if answers.service and "Type" in answers.service["values"] else None
        programs = self.programs(answers)
        if len(programs) > 1:
            raise Unknown(f"{', '.join(map(_told, programs.items()))} could all be meant: name one by its key, or its view")
        return next((Installed(program.display_version, program) for program in programs), None)

    def programs(self, answers: Answers) -> dict[InstalledProgram, int]:
        """Those that are meant, each with its view: one that both views show alike counts once."""
        return dict(self._programs(answers))

    def _programs(self, answers: Answers) -> Iterator[tuple[InstalledProgram, int]]:
        views = [self.view] if self.view else BITS
        keys = [(bits, name, key) for bits in views for name, key in _subkeys(getattr(answers, f"view_{bits}"))]
        matches = [(program, bits) for bits, name, key in keys if key and self._meant(program := _program(name, key))]
        hidden = sorted({name for _, name, key in keys if key is None and self._may_be(name)})
        if hidden and not matches:
            raise Unknown(f"the uninstall keys of {', '.join(hidden)} may not be read")
        yield from matches

    def _may_be(self, key: str) -> bool:
        named = self.product_code or self.key
        return named is None or key.lower() == named.lower()

    def _meant(self, program: InstalledProgram) -> bool:
        if self.display_name is None:
            return self._may_be(program.key)
        pattern = ".*".join(map(re.escape, self.display_name.split("*")))
        listed = program.display_name is not None and not program.hidden and not program.is_update
        return listed and re.fullmatch(pattern, str(program.display_name), re.IGNORECASE) is not None


def _of_file(stat: Mapping[str, Any] | None) -> Installed | None:
    if stat and stat["directory"]:
        raise Unknown("a folder stands where its file should be")
    return Installed(stat["version"] or None) if stat else None


def _subkeys(answer: Mapping[str, Any] | None) -> list[tuple[str, Mapping[str, Any] | None]]:
    return list((answer or {}).get("subkeys", {}).items())


def _program(name: str, key: Mapping[str, Any]) -> InstalledProgram:
    return uninstall.parse(name, {value: data for value, (_, data) in key["values"].items()})


def _told(match: tuple[InstalledProgram, int]) -> str:
    program, bits = match
    return f"{program.display_name or 'no name'} (key {program.key}, {bits}-bit view)"
