"""A variable of the whole machine's environment: a value, or a list like Path in which only some entries are ours.

It is a registry value below Session Manager's key, a text (REG_SZ) or one in which Windows replaces %names% (`expand`,
REG_EXPAND_SZ); the type stays as it is where `expand` is left out. `entries` are added at the end, the others stay, in their
order; with `exact` there are these and no others, with `absent: true` these are not in it. Entries are the same that differ
in case, quotes or a backslash at the end; %names% are compared as written.

Nobody is told of a change (no WM_SETTINGCHANGE): sessions have it from the next logon on, services from their next start
on, some perhaps only once Windows has restarted (not verified). A value may be a secret, though every user of the host can
read it there; of one that is removed nobody said that it is none, so it is not shown either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ValidationInfo, field_validator, model_validator

from opdeploy.calls import Write, registry_read, registry_remove, registry_write
from opdeploy.model import Change, Secret, Unknown
from opdeploy.resources.base import KEY, Answers, Comparator, Option, Reads, Resource
from opdeploy.resources.values import Text, observed

ENVIRONMENT = r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
EXPANDS = {"String": False, "ExpandString": True}
_ENTRY = re.compile(r'(?:"[^"]*"|[^;])+')

# Windows sets these itself, and its programs start by them.
OF_WINDOWS = {
    "comspec", "driverdata", "number_of_processors", "os", "processor_architecture", "processor_identifier",
    "processor_level", "processor_revision", "systemdrive", "systemroot", "username", "windir",
}  # fmt: skip
# Of these it needs some entries, as its setup writes them.
NEEDED = {
    "path": (
        r"%SystemRoot%\system32", "%SystemRoot%", r"%SystemRoot%\System32\Wbem",
        r"%SystemRoot%\System32\WindowsPowerShell\v1.0",
    ),
    "pathext": (".COM", ".EXE", ".BAT", ".CMD"),
    "psmodulepath": (r"%SystemRoot%\system32\WindowsPowerShell\v1.0\Modules",),
}  # fmt: skip
STAYS = {"temp", "tmp", *NEEDED}


def _name(text: str) -> str:
    if "=" in text or len(text) > 255:
        raise ValueError(f"{text!r} is no variable's name: up to 255 characters, none of them =")
    if text.lower() in OF_WINDOWS:
        raise ValueError(f"refused: Windows sets {text} itself")
    return text


def folded(entry: str) -> str:
    """What two entries are compared by."""
    return entry.strip().strip('"').rstrip("\\").lower()


def _folded(entries: tuple[str, ...]) -> list[str]:
    return [folded(entry) for entry in entries]


def _added(desired: tuple[str, ...], actual: tuple[str, ...] | None, exact: bool) -> tuple[str, ...]:
    if exact or not actual:
        return desired
    there = _folded(actual)
    return (*actual, *(entry for entry in desired if folded(entry) not in there))


WORDS = "ignoring case, quotes and a backslash at the end; others stay, unless `exact`"
LIST = Comparator(same=lambda one, other: _folded(one) == _folded(other), after=_added, joins=True, words=WORDS)


class EnvironmentVariable(Resource):
    KIND = "environment_variable"
    EXAMPLE = r"""
        - { name: OP_HOME, value: 'D:\OP' }
        - { name: Path, entries: ['C:\Program Files\Firebird\Firebird_3_0'] }
    """

    name: Annotated[Text, AfterValidator(_name), KEY]
    """Its name, without percent signs."""
    value: str | Secret | None = None
    """The whole of it; case counts."""
    entries: Annotated[tuple[str, ...] | None, LIST] = None
    """Parts of a list with semicolons between them."""
    expand: bool | None = None
    """Whether Windows replaces %names% in it (REG_EXPAND_SZ)."""
    exact: Option = False
    """Whether `entries` are all there are, in their order."""

    @field_validator("value", mode="plain")
    @classmethod
    def _text(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or isinstance(value, Secret) or observed(info):
            return value
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("expected text: put a number, yes or no into quotes; an empty variable is none (absent: true)")
        return value

    @field_validator("entries")
    @classmethod
    def _whole(cls, entries: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        for entry in () if observed(info) else entries or ():
            if _entries(entry) != (entry,) or not folded(entry) or entry != entry.strip():
                raise ValueError(f"{entry!r} is no entry: one at a time, without semicolons and blanks around it")
        return entries

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if not observed(info) and (reason := self._contradiction() or self._harm()):
            raise ValueError(reason)
        return self

    def _contradiction(self) -> str:
        if self.value is not None and self.entries is not None:
            return "value is the whole of it, entries are its parts: give one of them"
        if self.absent and (self.value is not None or self.expand is not None or self.exact):
            return "absent: leave value, expand and exact out; with entries only these are taken out of it"
        if not self.absent and self.value is None and not self.entries:
            return "a variable needs a value or entries, or absent: true"
        return "exact is for entries" if self.exact and self.entries is None else ""

    def _harm(self) -> str:
        """Why Windows, or what starts in it, would miss something; '' if not."""
        name = self.name.lower()
        needed = {folded(entry): entry for entry in NEEDED.get(name, ())}
        ours = {_unexpanded(folded(entry)) for entry in self.entries or ()}
        if name in STAYS and self.absent and self.entries is None:
            return f"refused: Windows needs {self.name}"
        if needed and (self.value is not None or self.expand is False):
            return f"refused: Windows needs {self.name} as a list that is expanded: write entries"
        if self.absent and (lost := [entry for fold, entry in needed.items() if fold in ours]):
            return f"refused: Windows needs {lost[0]} in {self.name}"
        if self.exact and (lost := [entry for fold, entry in needed.items() if fold not in ours]):
            return f"refused: Windows needs {self.name} to hold {', '.join(lost)} too"
        return ""

    # ------------------------------------------------------------ reading

    def undone(self, found: Self | None) -> Self | str:
        if self.entries is None or found is None or found.entries is None:
            return super().undone(found)
        if self.exact:
            return self.as_it_was(found, exact=True)
        there = _folded(found.entries)
        ours = tuple(entry for entry in self.entries if folded(entry) not in there)
        return self.gone(entries=ours) if ours else ""

    def reads(self) -> Reads:
        return {"variable": registry_read(ENVIRONMENT, values=[self.name])}

    def actual(self, answers: Answers) -> Self | None:
        kind, data = self._stored(answers)
        if not kind:
            return None
        if kind not in EXPANDS:
            raise Unknown(f"its type there is {kind}, which no variable has: remove it by hand")
        if self.entries is None:
            hidden = self.absent or isinstance(self.value, Secret)
            value = Secret(data, f"{ENVIRONMENT} {self.name}") if hidden else data
            return self.observed(name=self.name, value=value, expand=EXPANDS[kind])
        found = _entries(data)
        if self.absent:
            found = tuple(entry for entry in found if folded(entry) in _folded(self.entries))
            return self.observed(name=self.name, entries=found) if found else None
        return self.observed(name=self.name, entries=found, expand=EXPANDS[kind])

    def _stored(self, answers: Answers) -> tuple[str, str]:
        """Its type and data; '' twice where there is none."""
        values = {name.lower(): pair for name, pair in (answers.variable or {"values": {}})["values"].items()}
        kind, data = values.get(self.name.lower(), ("", ""))
        return kind, data

    # ------------------------------------------------------------ judging and writing

    def note(self, change: Change[Any], answers: Answers) -> str:
        return "every user of the host can read a variable" if isinstance(self.value, Secret) else ""

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        kind, data = self._stored(answers)
        left = self._outcome(data)
        if left:
            expand = EXPANDS.get(kind, False) if self.expand is None else self.expand
            yield registry_write(ENVIRONMENT, self.name, "ExpandString" if expand else "String", left)
        else:
            yield registry_remove(ENVIRONMENT, self.name)

    def _outcome(self, data: str) -> str | Secret:
        """What it will hold; '' for nothing: it goes."""
        if self.entries is None:
            return self.value or ""
        if self.absent:
            return ";".join(entry for entry in _entries(data) if folded(entry) not in _folded(self.entries))
        return ";".join(_added(self.entries, _entries(data), self.exact))


def _entries(data: str) -> tuple[str, ...]:
    """The parts of a list; a semicolon in quotes parts nothing, and nothing between two is no part."""
    return tuple(entry for entry in _ENTRY.findall(data) if entry.strip())


def _unexpanded(fold: str) -> str:
    """An entry of the Windows folder as Windows' setup writes it."""
    return re.sub(r"\A(c:\\windows|%windir%)", "%systemroot%", fold)
