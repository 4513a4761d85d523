"""One host for one run: what was asked and answered, and the session it went through.

Reads go over a session that was sent the read half only; at the first write a new process with both halves takes over.
The run store answers what only the controller knows (`record.password`). No pyinfra in here: connector and engine share it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat

import gevent

from opdeploy import guard, planning
from opdeploy.calls import SESSION_LOST, Answer, Call, Failure, Read, Write, host_read
from opdeploy.model import SERVERS, HostError, HostFailed, LogonRefused, Machine, Secret
from opdeploy.planning import Desired, Observation, World
from opdeploy.rendering import without_secrets
from opdeploy.resources.base import Answers, Resource
from opdeploy.results import Cost, Evidence
from opdeploy.store import Store
from opdeploy.windows import agent
from opdeploy.windows import session as winrm_session
from opdeploy.windows.sending import Sending, Source, opened
from opdeploy.windows.session import Session
from opdeploy.windows.winrs import Counters, Target

PATIENCE = 600.0  # seconds that a host may be out of reach while work on it goes on
LOGONS = 2  # refused ones: Windows may not be ready when it has just started, and a third could lock the account
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds before it is looked at again; the last for ever
PUSH = "file.push"  # a verb that no agent knows
LOCAL = "record."  # verbs that the run store answers
REQUEST = 700_000  # characters: ConvertFrom-Json stops at 2,097,152 on some builds of 5.1
WALKS_THE_TREE = 3600.0  # seconds: Windows passes a new access list on to everything below
SERVICES_WINDOWS = {"Install-WindowsFeature", "Uninstall-WindowsFeature"}  # cmdlets that may take as long

FIRST_CLIENT = 10240  # Windows 10


@dataclass(frozen=True)
class Records:
    """What the run store knows of one host and the host can't say itself."""

    store: Store
    host: str

    def answers(self, reads: Iterable[Read]) -> Observation:
        """Those of the reads that are the store's to answer, by key."""
        return {read.key: self.store.answer(read, self.host) for read in reads if read.verb.startswith(LOCAL)}

    def keep_log(self, name: str, text: str) -> str:
        """Where a log of the host is kept from now on."""
        return str(self.store.keep_log(f"{self.host}-{name}", text))

    def remember(self, user: str, password: Secret, set_at: str) -> None:
        self.store.set_password(self.host, user, password, set_at)


@dataclass
class Station:
    """`log_in` observes what the run desires; `close` is always safe. `lost`: it can't be reached any more.

    `reboots`: the changes of this run that Windows wants to be started anew for, each with its reason.
    `causes`: why changes failed of which a log on the host says more, without that.
    `opening`: who is interrupted now leaves a shell on the host that nobody has the name of.
    """

    target: Target
    records: Records
    desired: Desired = Desired()
    options: Collection[str] = ()
    lost: bool = False
    opening: bool = False
    observation: Observation = field(default_factory=dict)
    opener: Callable[..., Session] = winrm_session.open
    pause: Callable[[float], object] = gevent.sleep
    clock: Callable[[], float] = time.monotonic
    told: Callable[[str], object] = lambda text: None
    reboots: dict[str, str] = field(default_factory=dict)
    causes: dict[str, str] = field(default_factory=dict)
    _session: Session | None = None
    _spent: list[Counters] = field(default_factory=list)
    _writing: bool = False
    _sent: set[tuple[bool, str]] = field(default_factory=set)  # whether it writes, and what it is
    _agents: set[str] = field(default_factory=set)

    def __copy__(self) -> Station:
        """pyinfra copies what it keeps as host data; there is one session, so there is one station."""
        return self

    def log_in(self) -> None:
        self.observe(self.desired, self.options)

    def ask(self, reads: Sequence[Read], seconds: float | None = None) -> Observation:
        """Answers reads, remembers them, and returns them by key. Raises HostError."""
        remote = _for_the_host(reads)
        answers = dict(zip((r.key for r in remote), self._ask(remote, seconds), strict=True)) if remote else {}
        answers |= self.records.answers(reads)
        self.observation |= answers
        return answers

    def write(self, writes: Sequence[Write], reads: Sequence[Read], seconds: float | None = None) -> list[Failure]:
        """Makes writes and reads back in one request; the failures of the writes. Reads go on after a failed write.

        Only files may need more requests than one: those before the last have no reads, and a failure ends them.
        """
        *firsts, last = batches(writes)
        for batch in firsts:
            if failures := self._push(batch[0]) if batch[0].verb == PUSH else self._write(batch, (), seconds):
                return failures
        return self._write(last, reads, seconds)

    def _push(self, write: Write) -> list[Failure]:
        name, sha256, size = (write.args[part] for part in ("source", "sha256", "size"))
        failure = self.send(write.args["path"], Source(name, sha256, size, partial(opened, name)))
        return [failure] if failure else []

    def send(self, path: str, source: Source) -> Failure | None:
        """A file from here, gone on with where it was cut. Raises OpdeployError for one that is not as planned, HostError."""
        return Sending(self, path, source).run()

    def try_write(self, write: Write, seconds: float | None = None) -> Failure | None:
        """One write that may be made again, so that a host out of reach is only a failure."""
        try:
            return next(iter(self._write([write], (), seconds)), None)
        except HostError as error:
            return Failure(error.message, id=SESSION_LOST)

    def _write(self, writes: Sequence[Write], reads: Sequence[Read], seconds: float | None) -> list[Failure]:
        remote = _for_the_host(reads)
        calls: list[Call] = [*writes, *remote]
        answers = self._ask(calls, seconds or deadline(writes), len(writes))
        self.observation |= dict(zip((r.key for r in remote), answers[len(writes) :], strict=True))
        self.observation |= self.records.answers(reads)
        return [answer for answer in answers[: len(writes)] if isinstance(answer, Failure)]

    def _ask(self, calls: Sequence[Call], seconds: float | None, writes: int = 0) -> list[Answer]:
        try:
            session = self.session(write=writes > 0)
            self._sent |= {(isinstance(one, Write), one.told) for call in calls for one in (call, *call.args.get("order", ()))}
            answers = session.ask(calls, writes=writes, deadline=seconds)
        except HostError:
            self.lost = True
            raise
        proofs = answers[writes:]
        self.lost = bool(writes and proofs) and all(_is_lost(answer) for answer in proofs)
        return answers

    def look(self, reads: Sequence[Read], after: float = 0.0, patience: float = PATIENCE) -> Observation:
        """Asks after a pause, and again in a new session while the host is out of reach. Raises HostError after `patience`."""
        self.pause(after)
        until, refused = self.clock() + patience, 0
        for pause in pauses():
            try:
                answers = self.ask(reads)
                self.lost = False
                return answers
            except HostError as error:
                refused += isinstance(error, LogonRefused)
                if self.clock() >= until or refused == LOGONS:
                    raise
            self.close()
            self.pause(pause)
        raise AssertionError("pauses never end")

    def kept_log(self, resource: Resource, read: Read | None) -> str:
        """What a log on the host says of a change that failed: its last line, and where the rest is kept; secrets taken out."""
        answer = self.observation.pop(read.key, None) if read else None
        if not isinstance(answer, dict):
            return ""
        text = without_secrets(_log_text(base64.b64decode(answer["bytes"])))
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it is empty")
        return f"{last} (its log: {self.records.keep_log(f'{resource.KIND}-{resource.key}', text)})"

    def remember(self, resource: Resource) -> None:
        """After a change was made: what only a record can prove later (a password that was set)."""
        applied = resource.applied_password(self._answers(resource))
        if applied is None:
            return
        self.records.remember(*applied)
        self.observation |= self.records.answers(resource.reads().values())

    def _answers(self, resource: Resource) -> Answers:
        return self.around().answers(resource)

    def observe(self, desired: Desired, options: Collection[str] = ()) -> World:
        """Two rounds at most. Raises HostError; HostFailed for a host that we do not manage."""
        self.observation.clear()
        self.ask(planning.first_reads(desired, options))
        check(planning.machine(self.observation))
        if further := planning.second_reads(desired, self.observation):
            self.ask(further)
        return self.around()

    def world(self, resource: Resource) -> World:
        """The world around one resource, asking only what has not been asked yet. Raises HostError."""
        missing = [read for read in planning.reads_of(resource) if read.key not in self.observation]
        self.ask(list(dict.fromkeys([*([] if host_read().key in self.observation else [host_read()]), *missing])))
        if further := [read for read in planning.reads_after(resource, self.observation) if read.key not in self.observation]:
            self.ask(further)
        return self.around()

    def around(self) -> World:
        return World(check(planning.machine(self.observation)), self.observation, guard.Session(self.target.port))

    @property
    def cost(self) -> Cost:
        spent = [*self._spent, *([self._session.counters] if self._session else [])]
        total = partial(_total, spent)
        loader = spent[-1].loader if spent else "plain"
        return Cost(int(total("posts")), int(total("bytes_sent")), int(total("bytes_received")), total("seconds"), loader)

    @property
    def evidence(self) -> Evidence:
        """What was sent so far; the answers are `engine`'s to digest, at the moment when it plans from them."""
        reads, writes = (tuple(sorted(told for one, told in self._sent if one is writes)) for writes in (False, True))
        return Evidence(reads, writes, tuple(sorted(self._agents)))

    def close(self) -> None:
        if self._session:
            self._spent.append(self._session.counters)
            session, self._session = self._session, None
            session.close()

    def session(self, write: bool = False) -> Session:
        """The one that there is; a new one where there is none, or where this one was sent the read half only."""
        if self._session and write and not self._writing:
            self.close()
        if not self._session:
            self.opening = True
            try:
                self._session = self.opener(self.target, write=write, raw=self.cost.loader == "raw")
            finally:
                self.opening = False
            self._writing = write
            self._agents.add(agent.sent_digest(write))
        return self._session


def _log_text(data: bytes) -> str:
    """Installers write UTF-16 (msiexec) or bytes of some code page; of a log's end the byte order mark is missing."""
    wide = data[:2] == b"\xff\xfe" or data[1:200:2].count(0) > len(data[:200]) // 4
    return data.decode("utf-16-le" if wide else "utf-8", "replace").lstrip("\ufeff")


def pauses() -> Iterator[float]:
    """Longer and longer."""
    yield from PAUSES
    yield from repeat(PAUSES[-1])


def _for_the_host(reads: Iterable[Read]) -> list[Read]:
    return [read for read in reads if not read.verb.startswith(LOCAL)]


def _is_lost(answer: Answer) -> bool:
    return isinstance(answer, Failure) and answer.id == SESSION_LOST


def _total(spent: Sequence[Counters], name: str) -> float:
    return float(sum(getattr(counters, name) for counters in spent))


def batches(writes: Sequence[Write]) -> list[list[Write]]:
    """In order, each with at most `REQUEST` characters, as near as its key tells; never none. A file goes alone, never last."""
    found: list[list[Write]] = [[]]
    size = 0
    for write in writes:
        weight = REQUEST if write.verb == PUSH else len(write.key)
        if found[-1] and size + weight > REQUEST:
            found.append([])
            size = 0
        found[-1].append(write)
        size += weight
    return [*found, []] if writes and writes[-1].verb == PUSH else found


def deadline(writes: Sequence[Write]) -> float | None:
    """Seconds that the slowest of them may take; None for what is usual."""
    slow = (write.verb == "sddl.write" or write.args.get("name") in SERVICES_WINDOWS for write in writes)
    return WALKS_THE_TREE if any(slow) else None


def check(machine: Machine) -> Machine:
    """The host as it says it is, if it is one that we manage. Raises HostError, HostFailed with what to do."""
    if machine.language != "FullLanguage":
        hint = "let the session's user run in FullLanguage (application control policy)"
        raise HostError(f"PowerShell runs in {machine.language} there, which allows none of this", hint)
    if (machine.product == "WinNT" and machine.build < FIRST_CLIENT) or (
        machine.product != "WinNT" and machine.build not in SERVERS
    ):
        raise HostFailed(f"its Windows (build {machine.build}) is none that is managed: Server 2016 to 2025, Windows 10 and 11")
    if not machine.elevated:
        raise HostError(
            f"the session's token is filtered: {machine.user_name} is not elevated there",
            "use the built-in Administrator or a domain account that is administrator, or have IT set "
            r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\LocalAccountTokenFilterPolicy to 1",
        )
    return machine
