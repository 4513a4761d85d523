"""What every kind of resource is: a model with a key, its reads, and two pure functions.

A kind is one file beside this one. It says what a thing on a host can be (a pydantic model whose annotations carry the
comparators), what to ask (`reads`, `then_reads`), how answers become a model of the same type (`actual`), and how a
change becomes calls (`writes`). It does no I/O, knows no transport, and compares nothing: `planning.py` does.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from opdeploy.calls import Answer, Failure, Read, Write, host_read, sid_resolve
from opdeploy.model import Change, Machine, Missing, Principal, Secret, Unknown
from opdeploy.resources.values import OBSERVED

Reads = Mapping[str, Read]


class Part(Enum):
    """What a field of a model is, if it is no property."""

    KEY = "key"
    OPTION = "option"  # says how to compare or to write; is not compared


RESTART_WINRM = "restart WinRM"
NOT_NAMED = "not in the inventory"  # what the reason of an unmanaged extra begins with
KEY = Part.KEY
OPTION = Part.OPTION


@dataclass(frozen=True)
class Comparator:
    """How one property is compared. `after` is what it will be once applied: (desired, actual, exact) -> value.

    `joins`: two roles that name it are united instead of clashing. `nothing`: a value that says nothing where the whole
    resource is made or removed.
    """

    same: Callable[[Any, Any], bool] = lambda one, other: bool(one == other)
    after: Callable[[Any, Any, bool], Any] = lambda desired, actual, exact: desired
    joins: bool = False
    nothing: Any = None
    words: str = ""  # how, as the reference says it: 'ignoring case'


@dataclass(frozen=True)
class WrittenAs:
    """How an inventory writes the items of a property, where that is another model than what they become."""

    model: type[BaseModel]


def _united(desired: Sequence[Any], actual: Sequence[Any] | None, exact: bool) -> Sequence[Any]:
    if exact or not actual:
        return desired
    return tuple(actual) + tuple(item for item in desired if item not in actual)


SAME = Comparator()
IGNORE_CASE = Comparator(same=lambda one, other: one.lower() == other.lower(), words="ignoring case")
AS_SET = Comparator(same=lambda one, other: set(one) == set(other), words="in any order")
AS_SET_IGNORING_CASE = Comparator(
    same=lambda one, other: {i.lower() for i in one} == {i.lower() for i in other}, words="in any order, ignoring case"
)
ADDITIVE = Comparator(same=AS_SET.same, after=_united, joins=True, words="in any order; others stay, unless `exact`")

KeyText = Annotated[str, KEY]
Option = Annotated[bool, OPTION]


class Answers:
    """A resource's reads, answered: one attribute a read. None where the host said 'not there' in the kind's own words.

    Whatever else could not be read raises `Unknown`, so no kind can take an error for an absence.
    """

    def __init__(self, reads: Reads, answered: Mapping[str, Answer], absent_when: Sequence[str] = ()) -> None:
        self._reads, self._answered, self._absent_when = reads, answered, absent_when

    def __getattr__(self, name: str) -> Any:
        read = self._reads.get(name)
        if read is None or read.key not in self._answered:
            raise Unknown(f"{name}: was not read")
        answer = self._answered[read.key]
        if isinstance(answer, Failure):
            if any(answer.id.startswith(word) for word in self._absent_when):
                return None
            raise Unknown(answer.message)
        return answer

    def has(self, name: str) -> bool:
        """Whether it was asked and answered at all (an optional read, a second round that has not been asked yet)."""
        return name in self._reads and self._reads[name].key in self._answered

    def asked(self, name: str) -> bool:
        """Whether it belongs to what was to be asked: false for a second round while only the first is looked at."""
        return name in self._reads

    @property
    def base_sids(self) -> tuple[str | None, str | None]:
        """Of the machine and its domain, as the host told first: what aliases in a descriptor (LA, DU) are relative to."""
        host = self._answered.get(host_read().key)
        told = host if isinstance(host, Mapping) else {}
        return told.get("machine_sid") or None, told.get("domain_sid") or None

    def failure(self, name: str) -> Failure | None:
        read = self._reads.get(name)
        answer = self._answered.get(read.key) if read else None
        return answer if isinstance(answer, Failure) else None


@dataclass(frozen=True)
class Work:
    """Long work on the host for a resource, as its answers tell: under way, or ended, and with what error.

    `log`: what on the host says more of an error; `secrets` of the resource are taken out of it before anybody sees it.
    `settling`: it ended, and what it left to be done may still be under way; after a while its `error` counts.
    """

    running: bool
    error: str = ""
    log: Read | None = None
    settling: bool = False


class Resource(BaseModel):
    """One thing on a host. A property left out (None) is unmanaged; ``absent: true`` is a state."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    KIND: ClassVar[str]
    EXAMPLE: ClassVar[str] = ""  # YAML, as it stands in an inventory
    BY_HAND: ClassVar[bool] = False  # a person does it: reports list it apart, and no exit code hangs on it
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ()  # how error ids begin that mean: it is not there
    READ_IF_MANAGED: ClassVar[tuple[str, ...]] = ()  # properties that nobody looks at where an inventory leaves them out
    REPLACE_ON: ClassVar[tuple[str, ...]] = ()  # properties that can only be changed by making it anew

    absent: Option = False
    """It must not be there."""

    @property
    def key(self) -> str:
        """What names it on its host, as a person writes it."""
        return " ".join(str(getattr(self, name)) for name in parts(type(self), KEY))

    @property
    def identity(self) -> tuple[str, str]:
        return self.KIND, self.key.lower()

    @property
    def address(self) -> str:
        """What names it in a run: `service/Spooler`."""
        return f"{self.KIND}/{self.key}"

    @property
    def label(self) -> str:
        """The same in a sentence: `service Spooler`."""
        return f"{self.KIND} {self.key}"

    def reads(self) -> Reads:
        raise NotImplementedError

    def optional_reads(self) -> Mapping[str, Reads]:
        """What is asked only when the run wants it: by option (``diff``, ``verify_passwords``). `Answers.has` tells."""
        return {}

    def then_reads(self, answers: Answers) -> Reads:
        """What the first answers named: a second round, the last."""
        return {}

    @classmethod
    def observed(cls, **values: Any) -> Self:
        """What a host has: the same model, without the rules that only a wish must keep (`values.observed`)."""
        return cls.model_validate(values, context=OBSERVED)

    def actual(self, answers: Answers) -> Self | None:
        """What is there, None if nothing is. Raises `Unknown`; `Missing` if what it stands on is not there; `NotApplicable`."""
        raise NotImplementedError

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        """The calls that close `change`; `self` is the desired state with every principal resolved as far as known.

        `answers` are the newest: what a write that replaces a whole value says it expects to find."""
        raise NotImplementedError

    def follows(self, change: Change[Any]) -> bool:
        """Whether more writes may follow, which only what the first ones made can tell."""
        return False

    def work(self, answers: Answers) -> Work | None:
        """Long work (a detached job) whose end apply waits for, by its reads; None where there is none.

        One that has ended with an error fails the change; the next apply may try again."""
        return None

    def may_reboot(self, change: Change[Any]) -> bool:
        """Whether Windows may want to be started anew after this change."""
        return False

    def reboot(self, answers: Answers) -> str:
        """Why Windows wants to be started anew before this is whole, by the answers after a change; '' if it does not."""
        return ""

    def afterwards(self, change: Change[Any]) -> frozenset[str]:
        """What has to happen on the host once the run's changes are made, since it would cut the session off: RESTART_WINRM."""
        return frozenset()

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        """Why this change is not ours to make, or why what is right has no effect; '' if neither."""
        return ""

    def note(self, change: Change[Any], answers: Answers) -> str:
        """What whoever reads this change must know of it besides: an assumption, why it differs; '' if nothing."""
        return ""

    def unseen(self, change: Change[Any]) -> str:
        """What a change would do that none of its properties tells, for who approves it: what is run; '' if nothing."""
        return ""

    def refusal(self, machine: Machine) -> str:
        """Why this kind is not for such a host at all; '' if it is."""
        return ""

    def words(self, change: Change[Any], answers: Answers) -> Sequence[str]:
        """The difference in words, where a kind has one beyond its properties (a file's lines, with ``--diff``)."""
        return ()

    def applied_password(self, answers: Answers) -> tuple[str, Secret, str] | None:
        """After an apply: whose password now is which, and when the host says it was set; None for other kinds."""
        return None

    def had(self, change: Change[Any], answers: Answers) -> Self | None:
        """What is there before a change, as `undone` will want it: more than what is compared, where a kind takes back more."""
        return change.actual

    def undone(self, found: Self | None) -> Self | str:
        """What takes this back: `found` is what was there before it was first applied, None where nothing was.

        A text says why it stays as it is; '' where there is nothing to take back."""
        return self.gone() if found is None else self.as_it_was(found)

    def gone(self, **given: Any) -> Self:
        """The same thing, absent; `given` is what its kind needs besides its key."""
        return type(self).model_validate({**self._key(), **given, "absent": True})

    def as_it_was(self, found: Self, **given: Any) -> Self | str:
        """The same thing with the properties that are managed as they were found."""
        managed = [name for name in properties(type(self)) if getattr(self, name) is not None]
        values = {name: value for name in managed if (value := getattr(found, name)) is not None}
        return type(self).model_validate({**self._key(), **values, **given}) if values else "what was there was not recorded"

    def _key(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in parts(type(self), KEY)}

    def provides(self) -> frozenset[str]:
        """Tokens of what stands once this is there: ``account:.\\op``, ``path:d:\\op``, ``service:spooler``."""
        return frozenset()

    def brings(self) -> frozenset[str]:
        """Tokens of what comes to stand with it, though no call of ours makes it: what an installer installs."""
        return frozenset()

    def needs(self) -> frozenset[str]:
        """Tokens of what this stands on. Accounts that only the host can resolve are needed by naming them."""
        return frozenset(account_token(principal.name) for principal in principals(self) if not principal.resolved)

    def stirs(self) -> frozenset[str]:
        """Tokens of what its writes may change: whatever needs or is one of them is read again in the same request."""
        return self.provides() | self.brings()

    def same_thing(self, other: Self) -> bool:
        return self.identity == other.identity


AnyResource = TypeVar("AnyResource", bound=Resource)


def account_token(name: str) -> str:
    return "account:" + name.lower()


def path_token(path: str) -> str:
    return "path:" + path.rstrip("\\").lower()


def parent_path(path: str) -> str:
    return path.rstrip("\\").rpartition("\\")[0]


def paths_above(path: str) -> list[str]:
    """Every folder above, nearest first, the drive as ``D:\\``."""
    parent = parent_path(path)
    if not parent:
        return []
    return [parent, *paths_above(parent)] if "\\" in parent else [parent + "\\"]


def all_reads(resource: Resource) -> dict[str, Read]:
    """Its first reads and every optional one, by name."""
    return dict(ChainMap(dict(resource.reads()), *map(dict, resource.optional_reads().values())))


# ---------------------------------------------------------------- reading a model's annotations


def parts(kind: type[Resource], part: Part) -> list[str]:
    return [name for name, info in kind.model_fields.items() if part in info.metadata]


def properties(kind: type[Resource]) -> list[str]:
    """The names of what is compared, in the model's order."""
    return [name for name, info in kind.model_fields.items() if not any(isinstance(m, Part) for m in info.metadata)]


def comparator(kind: type[Resource], name: str) -> Comparator:
    return next((m for m in kind.model_fields[name].metadata if isinstance(m, Comparator)), SAME)


# ---------------------------------------------------------------- principals in a model, wherever they stand


def map_principals(value: Any, change: Callable[[Principal], Principal]) -> Any:
    """The same value with every principal in it changed: models, dataclasses, tuples and mappings are walked."""
    if isinstance(value, Principal):
        return change(value)
    if isinstance(value, BaseModel):
        mapped = {name: map_principals(getattr(value, name), change) for name in type(value).model_fields}
        return value.model_copy(update=mapped)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: map_principals(getattr(value, f.name), change) for f in fields(value) if f.init})
    if isinstance(value, tuple | frozenset):
        return type(value)(map_principals(item, change) for item in value)
    if isinstance(value, Mapping):
        return {name: map_principals(item, change) for name, item in value.items()}
    return value


def principals(value: Any) -> list[Principal]:
    found: list[Principal] = []

    def note(principal: Principal) -> Principal:
        found.append(principal)
        return principal

    map_principals(value, note)
    return found


def principal_reads(resource: Resource) -> list[Read]:
    """What turns a resource's names into SIDs."""
    return [sid_resolve(principal.name) for principal in principals(resource) if not principal.sid]


# ---------------------------------------------------------------- a scope that is ours as a whole


@dataclass(frozen=True)
class Scope:
    """Something that a role looks through: what is found in it and not in the inventory becomes absent, or is only reported.

    `of` says which (a rule group's name, a folder's path); the kind's `found` lists what is there. Without `exact` it is
    not ours to remove.
    """

    kind: type[Scoped]
    of: str
    exact: bool = True

    def reads(self) -> Reads:
        return self.kind.scope_reads(self.of)

    def needs(self) -> frozenset[str]:
        return self.kind.scope_needs(self.of)

    @property
    def why(self) -> str:
        where = f"{self.kind.SCOPE} {self.of}"
        return f"{NOT_NAMED}, {where} is exact" if self.exact else f"{NOT_NAMED}: only reported, since {where} is not exact"


class Owned(Resource):
    """A scope itself, where what is in it could not be read: nothing in it may pass for in sync."""

    KIND = "scope"
    of: KeyText


class Scoped(Resource):
    """A kind of which a scope can be owned whole."""

    SCOPE: ClassVar[str]  # what a scope is called: 'group', 'folder'

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        raise NotImplementedError

    @classmethod
    def scope_needs(cls, of: str) -> frozenset[str]:
        """Tokens of what the scope stands on."""
        return frozenset()

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[Scoped]:
        """Everything in the scope, each as the absent resource that would remove it. Raises `Unknown`."""
        raise NotImplementedError


__all__ = [
    "ADDITIVE",
    "AS_SET",
    "AS_SET_IGNORING_CASE",
    "IGNORE_CASE",
    "KEY",
    "OPTION",
    "SAME",
    "Answers",
    "Change",
    "Comparator",
    "KeyText",
    "Machine",
    "Missing",
    "Option",
    "Owned",
    "Principal",
    "Reads",
    "Resource",
    "Scope",
    "Scoped",
    "Unknown",
    "Work",
]
