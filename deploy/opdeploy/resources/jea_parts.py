"""What a JEA endpoint lets its users do: cmdlets, functions, programs. What would defeat it is refused, with the reason.

A session of it runs as a virtual account, an administrator; what its users can reach through what is visible, they can do as
administrators. (Microsoft, 'JEA security considerations', 'JEA role capabilities'; domain.md 5.3) The lists below are what
is known to open everything; they can't hold every cmdlet of every module, so whoever adds a name answers for it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

from opdeploy.resources.values import observed

_CMDLET = re.compile(r"([A-Za-z][A-Za-z0-9.]*\\)?[A-Za-z]+-[A-Za-z][A-Za-z0-9]*")

# By what they do to the design; without regard to case.
_NEVER = {
    "it starts whatever it is given": """
        start-process invoke-expression invoke-command invoke-item invoke-history new-pssession enter-pssession invoke-wmimethod
        invoke-cimmethod set-wmiinstance new-ciminstance invoke-dscresource start-dscconfiguration""",
    "a service's program runs as SYSTEM": "new-service",
    "it brings code into the session": """
        add-type new-object new-module import-module import-pssession invoke-webrequest new-alias set-alias update-typedata
        update-formatdata trace-command set-psbreakpoint register-objectevent register-engineevent""",
    "it lets others in, or its users out": """
        register-pssessionconfiguration set-pssessionconfiguration unregister-pssessionconfiguration enable-psremoting
        set-executionpolicy add-localgroupmember new-localuser set-localuser""",
}
_WRITERS = """
    register-scheduledtask set-scheduledtask copy-item move-item remove-item rename-item new-item set-item set-content
    add-content clear-content out-file set-itemproperty new-itemproperty remove-itemproperty set-acl expand-archive"""
_ANY_PROGRAM = """
    cmd powershell powershell_ise pwsh wscript cscript mshta rundll32 regsvr32 msiexec msbuild installutil regasm regsvcs wmic
    sc schtasks at reg regedit net net1 netsh runas psexec psexec64 bitsadmin certutil icacls takeown diskpart bcdedit ftp
    forfiles"""
_REASONS = {name: reason for reason, names in _NEVER.items() for name in names.split()}
_FIXED, _PROGRAMS = frozenset(_WRITERS.split()), frozenset(_ANY_PROGRAM.split())
_ANYTHING = (".*", ".+", "^.*$", "^.+$")


def _cmdlet(text: str, info: ValidationInfo) -> str:
    if observed(info):
        return text
    if set(text) & set("*?[]"):
        raise ValueError(f"{text!r} is a pattern: it would let in what a module brings later; name each cmdlet")
    if not _CMDLET.fullmatch(text):
        raise ValueError(f"{text!r} is no cmdlet's name: expected Verb-Noun, or Module\\Verb-Noun; no alias")
    bare = text.rpartition("\\")[2].lower()
    if bare.endswith(("-job", "-scheduledjob")):
        raise ValueError(f"{text} is refused: a job runs what it is given, outside of the endpoint's limits")
    if reason := _REASONS.get(bare):
        raise ValueError(f"{text} is refused: {reason}, which makes its users administrators")
    return text


def _parameter(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", text):
        raise ValueError(f"{text!r} is no parameter's name: letters and digits, no dash")
    return text


def _program(text: str, info: ValidationInfo) -> str:
    if observed(info):
        return text
    if not re.fullmatch(r"[A-Za-z]:\\[^\x00-\x1f<>:\"/|?*]+\.exe", text, re.IGNORECASE):
        raise ValueError(rf"{text!r}: expected the full path of a program, like C:\Windows\System32\qwinsta.exe; no wildcard")
    if text.rpartition("\\")[2].lower().removesuffix(".exe") in _PROGRAMS:
        raise ValueError(f"{text} is refused: a program's arguments can't be limited, and this one runs or rewrites anything")
    return text


def _line(text: str) -> str:
    if any(ord(char) < 32 for char in text):
        raise ValueError("must not hold control characters")
    return text


def _module(text: str, info: ValidationInfo) -> str:
    if not observed(info) and not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", text):
        raise ValueError(f"{text!r} is no module's name, such as NetSecurity: no folder, no pattern")
    return text


Line = Annotated[str, AfterValidator(_line)]
Module = Annotated[str, AfterValidator(_module)]
Program = Annotated[str, AfterValidator(_program)]


class Parameter(BaseModel):
    """One parameter that may be given: with one of these values, or what a pattern takes whole; else with anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_parameter)]
    """Its name, without the dash."""
    values: tuple[Line, ...] = ()
    """The only values that it takes."""
    pattern: Line = ""
    """Or a regular expression that they fit."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if self.values and self.pattern:
            raise ValueError(f"{self.name} has values and a pattern: write one of them")
        if self.pattern in _ANYTHING and not observed(info):
            raise ValueError(f"the pattern of {self.name} takes anything: leave it out, or say what may be given")
        return self

    def __str__(self) -> str:
        limit = f" {'|'.join(self.values)}" if self.values else f" /{self.pattern}/" if self.pattern else ""
        return f"-{self.name}{limit}"


class Cmdlet(BaseModel):
    """One cmdlet, with the parameters that may be given; with none named, all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_cmdlet)]
    """Its name; no wildcard."""
    parameters: tuple[Parameter, ...] = ()
    """The parameters that it takes there; all of its own where left out."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        bare, fixed = self.name.rpartition("\\")[2].lower(), all(parameter.values for parameter in self.parameters)
        if not observed(info) and bare in _FIXED and not (self.parameters and fixed):
            raise ValueError(f"{self.name} does what it is told anywhere on the host: give every parameter its values")
        return self

    def __str__(self) -> str:
        return " ".join([self.name, *map(str, self.parameters)]) if self.parameters else f"{self.name} (any parameter)"


class Function(BaseModel):
    """A function of the endpoint's own. It runs in full language, as an administrator: what it takes, it has to check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_cmdlet)]
    """What it is called there: Verb-Noun."""
    content: str
    """What it does, in PowerShell."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not self.content.strip() or "\0" in self.content:
            raise ValueError(f"{self.name} needs content: the text between the braces of a function")
        return self

    @property
    def body(self) -> str:
        """Line ends make no difference."""
        return re.sub(r"\r\n|\r", "\n", self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and (self.name, self.body) == (other.name, other.body)

    def __hash__(self) -> int:
        return hash((self.name, self.body))

    def __str__(self) -> str:
        digest = hashlib.sha256(self.body.encode()).hexdigest()[:12]
        lines = len(self.body.splitlines())
        return f"{self.name} ({lines} line{'s' if lines > 1 else ''}, sha256 {digest}…)"
