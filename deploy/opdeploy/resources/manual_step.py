"""A step that only a person can do: who, how and why. It is open until somebody signs it off (`opdeploy step sign`).

The run store knows the sign-offs, and the host is asked nothing but whether the step is for it (`unless_defender`). One is of
a text, by its digest, so a step whose text was changed is open again. No apply touches it, and no exit code hangs on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator

from opdeploy.calls import Write, step_record
from opdeploy.model import Change, Machine, NotApplicable, NotOurs
from opdeploy.resources import defender
from opdeploy.resources.base import KEY, OPTION, Answers, Option, Reads, Resource
from opdeploy.resources.values import Text, observed


def _slug(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise ValueError("expected lower-case words with dashes, like plug-in-the-backup-disk")
    return text


def _lines(text: str) -> str:
    text = text.strip("\n")  # YAML's | and > leave one at the end
    if not text.strip():
        raise ValueError("must not be empty")
    if any(ord(char) < 32 and char != "\n" for char in text):
        raise ValueError("must not hold control characters but ends of lines")
    return text


Lines = Annotated[str, AfterValidator(_lines)]


class Signature(BaseModel):
    """Who signed a step off, when (ISO 8601 UTC), and what was noted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    """Who signed it off."""
    at: str
    """When, UTC."""
    note: str
    """What was noted."""


class ManualStep(Resource):
    KIND = "manual_step"
    EXAMPLE = """
        - id: take-the-disk-home
          title: Take the backup disk home
          who: whoever closes the practice
          how: Eject the disk at the left dock, and put the one from the safe in its place.
          why: only a disk that is elsewhere survives a fire
    """
    BY_HAND: ClassVar[bool] = True

    id: Annotated[str, AfterValidator(_slug), KEY]
    """Lower-case words with dashes: `swap-the-disks`."""
    title: Text
    """What it is, in a line."""
    who: Text
    """Whose it is to do."""
    how: Lines
    """What to do, in as many lines as it takes."""
    why: Lines
    """What depends on it."""
    unless_defender: Option = False
    """Not applicable where the host says that Microsoft Defender is active: `defender_exclusion` does it there."""
    signed: Annotated[Signature | None, OPTION] = None
    """As the run store has it (`opdeploy step sign`); no inventory says it."""

    @field_validator("absent")
    @classmethod
    def _is_there(cls, value: Option) -> Option:
        if value:
            raise ValueError("a step that is not needed any more is taken out of the inventory")
        return value

    @field_validator("signed", mode="before")
    @classmethod
    def _by_a_person(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not observed(info):
            raise ValueError("a step is signed off with: opdeploy step sign ID --by NAME --note TEXT")
        return value

    def undone(self, found: Self | None) -> Self | str:
        return ""

    @property
    def digest(self) -> str:
        """Of the text that a sign-off is of."""
        text = json.dumps([self.title, self.who, self.how, self.why])
        return hashlib.sha256(text.encode()).hexdigest()

    def reads(self) -> Reads:
        return {"record": step_record(self.id, self.digest), **(defender.READS if self.unless_defender else {})}

    def actual(self, answers: Answers) -> Self | None:
        if self.unless_defender and not defender.standing_back(answers):
            raise NotApplicable("Defender is active here")
        found = answers.record
        if not found or not found["same"]:
            return None
        signed = Signature(by=found["by"], at=found["at"], note=found["note"])
        return self.observed(id=self.id, title=self.title, who=self.who, how=self.how, why=self.why, signed=signed)

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        if change.verdict == "in_sync":
            return ""
        if found := answers.record:
            return NotOurs(f"signed off by {found['by']} on {found['at'][:10]}, but its text has changed since")
        return NotOurs(f"not signed off: opdeploy step sign {self.id} --by NAME --note TEXT")

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        yield from ()
