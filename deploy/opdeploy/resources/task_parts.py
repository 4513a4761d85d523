"""A scheduled task's triggers and actions: as a person writes them, as elements of the task's XML, and in words. Pure.

MS-TSCH 2.5.3 (triggers), 2.5.7 (actions). Two pieces are the same when they mean the same (`formats.task_xml.normalise`)
and name the same accounts. A piece that is not known here is kept as it is and told element by element.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from opdeploy.formats import task_xml
from opdeploy.formats.task_xml import Element, Normal, Value
from opdeploy.model import Principal
from opdeploy.resources.values import Duration, Text

# Starts lie in the past and have no zone: Windows then follows the clock on the wall. A Monday, for weeks are counted from it.
SOME_MONDAY = datetime.date(2024, 1, 1)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
LENGTHS = {
    "ExecutionTimeLimit", "RandomDelay", "Delay", "Interval", "Duration", "WaitTimeout", "PeriodOfOccurrence", "Period",
    "Deadline", "DeleteExpiredTaskAfter",
}  # fmt: skip
_ACCOUNT_TAGS = ("UserId", "GroupId")


# ---------------------------------------------------------------- elements


def text_element(tag: str, text: str) -> Element:
    return Element(tag, (), (text,) if text else ())


def iso(length: Duration) -> str:
    """An ISO 8601 duration; fractions of a second are none of the scheduler's."""
    left, text = round(length.seconds), "P"
    for unit, size in (("D", 86400), ("TH", 3600), ("M", 60), ("S", 1)):
        count, left = divmod(left, size)
        if count or (unit == "S" and text in ("P", "PT")):
            mark = "" if unit == "D" or "T" in text else "T"
            text += f"{mark}{count}{unit[-1]}"
    return text


@dataclass(frozen=True, eq=False)
class Piece:
    """One trigger or action; `accounts` are those that the element names, in its order, resolved as far as known."""

    element: Element
    accounts: tuple[Principal, ...] = ()

    @classmethod
    def of(cls, element: Element) -> Piece:
        """Raises ValueError where an account's name is none."""
        return cls(element, tuple(account(name) for name in _names(element)))

    @property
    def with_sids(self) -> Element:
        trustees = [principal.trustee for principal in self.accounts]
        return task_xml.with_sids(self.element, dict(zip(_names(self.element), trustees, strict=True)))

    @property
    def meaning(self) -> Value:
        """As `normalise` has it, within a task of nothing else."""
        kind = "Actions" if self.element.tag in ("Exec", "ComHandler", "SendEmail", "ShowMessage") else "Triggers"
        pieces = task_xml.normalise(Element("Task", (), (Element(kind, (), (self.with_sids,)),)))[kind]
        assert isinstance(pieces, list)
        return pieces[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Piece) and self.meaning == other.meaning

    def __hash__(self) -> int:
        return hash(self.element.tag)

    def __str__(self) -> str:
        meaning = self.meaning
        assert isinstance(meaning, dict)
        shown: Normal = dict(meaning)
        for principal in self.accounts:
            shown |= {tag: str(principal) for tag in _ACCOUNT_TAGS if shown.get(tag) == principal.trustee}
        return in_words(shown)


def account(name: str) -> Principal:
    return Principal.parse("SYSTEM" if name.lower() == "local system" else name)


def _names(element: Element) -> list[str]:
    own = [element.text.strip()] if element.tag in _ACCOUNT_TAGS and element.text.strip() else []
    return own + [name for child in element.elements for name in _names(child)]


# ---------------------------------------------------------------- in words


def in_words(meaning: Normal) -> str:
    """A normalised trigger or action as a line; what is only Windows' default is not told."""
    rest = dict(meaning)
    kind = str(rest.pop("type"))
    if kind == "Exec":
        return _exec(rest)
    head = _schedule(kind, rest)
    defaults = {"Enabled": True, "RandomDelay": 0, "Delay": 0, "Repetition StopAtDurationEnd": False}
    more = "; ".join(f"{path} {shown(path, value)}" for path, value in flat(rest) if defaults.get(path, ...) != value)
    return f"{head} ({more})" if more else head


def _exec(rest: Normal) -> str:
    command, arguments, folder = (str(rest.pop(name, "")) for name in ("Command", "Arguments", "WorkingDirectory"))
    quoted = f'"{command}"' if " " in command else command
    more = [f"in {folder}"] if folder else []
    told = [*more, *(f"{path} {shown(path, value)}" for path, value in flat(rest))]
    return " ".join([quoted, *([arguments] if arguments else [])]) + "".join(f"; {item}" for item in told)


def _schedule(kind: str, rest: Normal) -> str:
    """The head of a trigger's line; takes away what it tells."""
    start = re.sub(r"(T?\d\d:\d\d):00$", r"\1", str(rest.pop("StartBoundary", ""))).replace("T", " ")
    at = f" at {start}" if start else ""
    if kind == "TimeTrigger":
        return "once" + at
    if kind == "CalendarTrigger":
        return _calendar(rest) + at
    user = rest.pop("UserId", None) if kind == "LogonTrigger" else None
    head = {"BootTrigger": "at startup", "LogonTrigger": f"at logon of {user}" if user else "at logon"}.get(kind, kind)
    return head + (f", from {start}" if start else "")


def _calendar(rest: Normal) -> str:
    for name, words in (("ScheduleByDay", _by_day), ("ScheduleByWeek", _by_week), ("ScheduleByMonth", _by_month)):
        schedule = rest.get(name)
        if isinstance(schedule, dict) and (told := words(schedule)):
            del rest[name]
            return told
    return "CalendarTrigger"


def _by_day(schedule: Normal) -> str:
    if set(schedule) != {"DaysInterval"}:
        return ""
    return "daily" if schedule["DaysInterval"] == 1 else f"every {schedule['DaysInterval']} days"


def _by_week(schedule: Normal) -> str:
    if set(schedule) != {"WeeksInterval", "DaysOfWeek"}:
        return ""
    weeks = "weekly" if schedule["WeeksInterval"] == 1 else f"every {schedule['WeeksInterval']} weeks"
    return f"{weeks} on {shown('', schedule['DaysOfWeek'])}"


def _by_month(schedule: Normal) -> str:
    if not {"DaysOfMonth"} <= set(schedule) <= {"DaysOfMonth", "Months"}:
        return ""
    months = schedule.get("Months")
    where = "" if months in (None, list(MONTHS)) else f" in {shown('', months)}"
    return f"monthly on day {shown('', schedule['DaysOfMonth'])}{where}"


def flat(value: Value, path: str = "") -> Iterator[tuple[str, Value]]:
    """What is in a nested structure, each with its path of tags."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from flat(item, f"{path} {name}".lstrip())
    else:
        yield path, value


def shown(path: str, value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return "yes" if value else "no"
    if isinstance(value, list):
        return " and ".join("; ".join(f"{p} {shown(p, v)}".strip() for p, v in flat(item)) for item in value)
    tag = path.rpartition(" ")[2]
    return str(Duration(value)) if isinstance(value, int) and tag in LENGTHS else str(value)


# ---------------------------------------------------------------- as a person writes them


def _clock(value: Any) -> str:
    """YAML reads an unquoted 02:00 as a number of minutes."""
    if not isinstance(value, str):
        raise ValueError("write the time in quotes: '02:00'")
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", value):
        raise ValueError(f"{value!r} is no time of day: write '02:00' or '14:30:15'")
    return value if len(value) == 8 else value + ":00"


def _capital(value: Any) -> Any:
    return value.capitalize() if isinstance(value, str) else value


Weekday = Annotated[
    Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], BeforeValidator(_capital)
]
Month = Annotated[
    Literal[
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ],
    BeforeValidator(_capital),
]  # fmt: skip
DayOfMonth = Annotated[int, Field(ge=1, le=31)] | Annotated[Literal["Last"], BeforeValidator(_capital)]

# Which settings go with which schedule; the first ones must be there.
_WANTED = {
    "daily": ("at",), "weekly": ("at", "days"), "monthly": ("at", "days_of_month"), "once": ("at", "date"),
    "startup": (), "logon": (),
}  # fmt: skip
_ALLOWED = {
    "daily": ("date", "every", "random_delay"), "weekly": ("date", "every", "random_delay"),
    "monthly": ("date", "months", "random_delay"), "once": ("random_delay",), "startup": ("delay",),
    "logon": ("account", "delay"),
}  # fmt: skip


class TriggerSettings(BaseModel):
    """When a task starts: `{when: weekly, at: '02:00', days: [monday, friday]}`. Anything rarer is written as XML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Literal["daily", "weekly", "monthly", "once", "startup", "logon"]
    """What kind of moment."""
    at: Annotated[str, BeforeValidator(_clock)] | None = None
    """Time of day, the host's clock: '02:30'."""
    date: datetime.date | None = None
    """The day, with `once`; else the first one."""
    every: Annotated[int, Field(ge=1, le=365)] | None = None
    """Every so many days or weeks."""
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] | None = None
    """Weekdays, with `weekly`."""
    days_of_month: Annotated[tuple[DayOfMonth, ...], Field(min_length=1)] | None = None
    """Days 1 to 31 and `last`, with `monthly`."""
    months: Annotated[tuple[Month, ...], Field(min_length=1)] | None = None
    """Months, with `monthly`; all where left out."""
    account: Principal | None = None
    """Whose logon, with `logon`; anybody's where left out."""
    delay: Duration | None = None
    """How long after start-up or logon."""
    random_delay: Duration | None = None
    """Up to how much later, by chance."""
    repeat_every: Duration | None = None
    """Again after so long, 1m to 31d."""
    repeat_for: Duration | None = None
    """For how long it is repeated."""
    enabled: bool = True
    """Whether it counts."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted, own = _WANTED[self.when], {"when", "repeat_every", "repeat_for", "enabled"}
        if missing := [name for name in wanted if getattr(self, name) is None]:
            raise ValueError(f"a {self.when} trigger needs {missing[0]}")
        if extra := sorted(self.model_fields_set - own - {*wanted, *_ALLOWED[self.when]}):
            raise ValueError(f"{extra[0]} does not go with a {self.when} trigger")
        if self.repeat_every is not None and not 60 <= self.repeat_every.seconds <= 31 * 86400:
            raise ValueError("repeat_every is 1 minute to 31 days")
        if self.repeat_for is not None and self.repeat_every is None:
            raise ValueError("repeat_for needs repeat_every")
        return self

    def piece(self) -> Piece:
        """In the order in which Windows writes a trigger's elements; a logon's user before its delay (logonTriggerType)."""
        tag = {"startup": "BootTrigger", "logon": "LogonTrigger", "once": "TimeTrigger"}.get(self.when, "CalendarTrigger")
        start = [text_element("StartBoundary", f"{self.date or SOME_MONDAY}T{self.at}")] if self.at else []
        enabled = text_element("Enabled", "true" if self.enabled else "false")
        user = [text_element("UserId", self.account.sid or self.account.name)] if self.account else []
        children = (*self._repetition(), *start, enabled, *user, *self._delays(), *self._schedule())
        return Piece(Element(tag, (), children), (self.account,) if self.account else ())

    def _repetition(self) -> Iterator[Element]:
        if self.repeat_every is not None:
            lengths = (("Interval", self.repeat_every), ("Duration", self.repeat_for))
            yield Element("Repetition", (), tuple(text_element(tag, iso(length)) for tag, length in lengths if length))

    def _delays(self) -> Iterator[Element]:
        for tag, length in (("RandomDelay", self.random_delay), ("Delay", self.delay)):
            if length is not None:
                yield text_element(tag, iso(length))

    def _schedule(self) -> Iterator[Element]:
        every = str(self.every or 1)
        if self.when == "daily":
            yield Element("ScheduleByDay", (), (text_element("DaysInterval", every),))
        if self.when == "weekly":
            days = Element("DaysOfWeek", (), tuple(Element(day) for day in WEEKDAYS if day in (self.days or ())))
            yield Element("ScheduleByWeek", (), (text_element("WeeksInterval", every), days))
        if self.when == "monthly":
            days = Element("DaysOfMonth", (), tuple(text_element("Day", str(day)) for day in self.days_of_month or ()))
            months = tuple(Element(month) for month in MONTHS if month in (self.months or MONTHS))
            yield Element("ScheduleByMonth", (), (days, Element("Months", (), months)))


class ActionSettings(BaseModel):
    """What a task runs. The command is no shell's line: arguments stand apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Text
    """The program; no shell's line."""
    arguments: str = ""
    """What follows it."""
    working_directory: str = ""
    """In which folder."""

    def piece(self) -> Piece:
        given = (("Command", self.command), ("Arguments", self.arguments), ("WorkingDirectory", self.working_directory))
        return Piece(Element("Exec", (), tuple(text_element(tag, text) for tag, text in given if text)))
