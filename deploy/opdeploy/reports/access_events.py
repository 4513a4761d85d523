"""What one account did, as the Security log of a host has it: the events that are asked for, and no kind of resource.

It is asked by the account's SID. What is done in a JEA endpoint is done by a virtual account of the session, whose name ends
with that of the account: `WinRM Virtual Users\\WinRM_VA_1_DB1_op-support` (Microsoft, 'JEA security considerations').
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Self
from xml.sax.saxutils import escape

from opdeploy.calls import Read, events_read, sid_resolve
from opdeploy.formats import event_xml
from opdeploy.formats.event_xml import Event
from opdeploy.model import Unknown
from opdeploy.resources.base import Answers, KeyText, Reads, Resource

VIRTUAL = "WinRM Virtual Users"
LOGONS = (4624, 4634, 4647, 4672)
WORK = (4688, 4697, 4698, 4699, 4700, 4701, 4702)
RECONNECTED = (4778, 4779)  # they name the account, and have no SID
QUESTIONS = ("virtual", "reconnected", "logons", "work")
MOST = 5000  # events that one question gives at most, the newest
_VIRTUAL = re.compile(r"WinRM_VA_\d+_[^_]+_(.+)", re.IGNORECASE)


class AccessEvents(Resource):
    KIND = "access_events"
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("NoMatchingEventsFound",)

    account: KeyText
    since: str  # ISO 8601, UTC

    def reads(self) -> Reads:
        return {
            "sid": sid_resolve(f".\\{self.account}"),
            "virtual": self._read((*LOGONS, *WORK), f'Data="{VIRTUAL}"'),
            "reconnected": self._read(RECONNECTED, f'Data[@Name="AccountName"]="{self.account}"'),
        }

    def then_reads(self, answers: Answers) -> Reads:
        if not self.there(answers):
            return {}
        sid = answers.sid["sid"]
        return {"logons": self._read(LOGONS, f'Data="{sid}"'), "work": self._read(WORK, f'Data="{sid}"')}

    def _read(self, ids: tuple[int, ...], data: str) -> Read:
        which = " or ".join(f"EventID={id}" for id in ids)
        path = f'*[System[({which}) and TimeCreated[@SystemTime>="{self.since}"]] and EventData[{data}]]'
        query = f'<QueryList><Query Id="0" Path="Security"><Select Path="Security">{escape(path)}</Select></Query></QueryList>'
        return events_read(query, MOST)

    def actual(self, answers: Answers) -> Self | None:
        raise Unknown("it is looked at, not compared")

    def events(self, answers: Answers) -> list[Event]:
        """The account's, oldest first, each once. Raises `Unknown`."""
        found = {event.record: event for name in QUESTIONS for event in _parsed(name, answers)}
        mine = (event for event in found.values() if not _anothers(event, self.account))
        return sorted(mine, key=lambda event: event.record)

    def there(self, answers: Answers) -> bool:
        """Whether the host has the account. Raises `Unknown`."""
        return bool(answers.sid["sid"])

    def cut(self, answers: Answers) -> bool:
        """Whether there were more events than are asked for."""
        return any(answers.asked(name) and len(getattr(answers, name) or ()) >= MOST for name in QUESTIONS)


def _parsed(name: str, answers: Answers) -> Iterator[Event]:
    for text in (getattr(answers, name) or ()) if answers.asked(name) else ():
        try:
            yield event_xml.parse(text)
        except ValueError as error:
            raise Unknown(f"an event of the Security log can't be read: {error}") from error


def _anothers(event: Event, account: str) -> bool:
    """Whether it is a virtual account's of somebody else."""
    users = [user for who in ("Target", "Subject") if event.data.get(f"{who}DomainName") == VIRTUAL
             and (user := event.data.get(f"{who}UserName", ""))]  # fmt: skip
    return bool(users) and not any(whose(user).lower() == account.lower() for user in users)


def whose(virtual: str) -> str:
    """The account behind a virtual one's name; '' where it is none."""
    found = _VIRTUAL.fullmatch(virtual)
    return found[1] if found else ""
