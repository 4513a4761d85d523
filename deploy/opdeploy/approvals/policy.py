"""The approval policy of a machine, which is none of the inventory's, and what it asks for: docs/approvals.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from opdeploy.approvals.signatures import Line, PublicKey, SignedApproval
from opdeploy.inventory.problems import near
from opdeploy.model import UsageError
from opdeploy.rendering import printable
from opdeploy.resources import KINDS
from opdeploy.results import Approval

SETTING = "opdeploy_approvals"


def _kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"no kind of resource is called {name!r}: {near(name, KINDS) or 'see docs/reference/kinds.md'}")
    return name


class Rule(BaseModel):
    """What needs approving: a change that fits every field given; without any field, every change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    roles: list[str] = []
    """Of one of these roles."""

    kinds: list[Annotated[str, AfterValidator(_kind)]] = []
    """Of one of these kinds."""

    verdicts: list[Literal["would_change", "unknown"]] = []
    """With one of these verdicts, also where apply would do nothing about it."""

    actions: list[Literal["create", "update", "replace", "remove"]] = []
    """With one of these actions."""

    approvals: Annotated[int, Field(ge=1)] = 1
    """By how many approvers."""

    by: list[str] = []
    """Whose approvals count. Default: every approver's."""

    @property
    def told(self) -> str:
        given = {name: getattr(self, name) for name in ("roles", "kinds", "verdicts", "actions")}
        return "; ".join(f"{name} {', '.join(values)}" for name, values in given.items() if values) or "every change"


class Policy(BaseModel):
    """Who may approve, and what has to be approved. Both must stand there: an empty file is no policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    approvers: Annotated[dict[Line, PublicKey], Field(min_length=1)]
    """Each approver's name and public key."""

    rules: list[Rule]
    """What has to be approved; [] where only inventories ask for it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.approvers.values())) < len(self.approvers):
            raise ValueError("two approvers have the same key: one person would count as two")
        for number, rule in enumerate(self.rules, 1):
            if strangers := [name for name in rule.by if name not in self.approvers]:
                raise ValueError(f"rule {number}: {strangers[0]} is none of the approvers")
            if rule.approvals > len(self.may(rule)):
                raise ValueError(f"rule {number}: nobody could fulfil it: {rule.approvals} approvals of {len(self.may(rule))}")
        return self

    def may(self, rule: Rule) -> tuple[str, ...]:
        """Whose approvals count for a rule."""
        return tuple(dict.fromkeys(rule.by)) or tuple(self.approvers)

    def name_of(self, key: str) -> str | None:
        return next((name for name, known in self.approvers.items() if known == key), None)


# ---------------------------------------------------------------- what is required


@dataclass(frozen=True)
class Touched:
    """One change of a plan, or a resource that an apply could change: what nobody knows yet is '' and fits every rule."""

    host: str
    kind: str
    key: str
    roles: tuple[str, ...]
    verdict: str = ""
    action: str = ""

    def __str__(self) -> str:
        return printable(f"{self.kind} {self.key} on {self.host}".replace("  ", " "))


@dataclass(frozen=True)
class Need:
    """So many approvals, of these approvers; `why`: who asks for it, and the first change that it is for."""

    approvals: int
    by: tuple[str, ...]
    why: str

    def others(self, words: Iterable[SignedApproval | Approval]) -> tuple[str, ...]:
        """Who may still approve, besides those whose words count."""
        said = {word.by for word in words}
        return tuple(name for name in self.by if name not in said)

    def missing(self, words: Iterable[SignedApproval | Approval]) -> int:
        """How many approvals there are too few."""
        given = len(self.by) - len(self.others(words))
        return max(0, self.approvals - given)


def required(policy: Policy | None, changes: Sequence[Touched], asked: Mapping[str, int]) -> tuple[Need, ...]:
    """What these changes need; `asked`: how many approvals the inventory asks for, by host.

    Raises UsageError where an inventory asks and no policy says whose approvals count.
    """
    return (*_by_policy(policy, changes), *_by_inventory(policy, changes, asked))


def _by_policy(policy: Policy | None, changes: Sequence[Touched]) -> Iterator[Need]:
    for number, rule in enumerate(policy.rules if policy else (), 1):
        first = next((one for one in changes if _fits(rule, one)), None)
        if policy and first:
            yield Need(rule.approvals, policy.may(rule), f"rule {number} of the policy ({rule.told}) for {first}")


def _by_inventory(policy: Policy | None, changes: Sequence[Touched], asked: Mapping[str, int]) -> Iterator[Need]:
    first = {one.host: one for one in reversed(changes) if one.action != "none"}
    for host, count in asked.items():
        if host not in first:
            continue
        if policy is None:
            hint = "name a policy with its approvers in /etc/opdeploy/config.yml: docs/approvals.md"
            raise UsageError(f"{host} asks for {counted(count)} ({SETTING}), and no policy says whose count", hint)
        yield Need(count, tuple(policy.approvers), f"{SETTING} of {host} for {first[host]}")


def _fits(rule: Rule, one: Touched) -> bool:
    if one.action == "none" and one.verdict not in rule.verdicts:
        return False
    fields: tuple[tuple[Sequence[str], Sequence[str]], ...] = (
        (rule.roles, one.roles),
        (rule.kinds, (one.kind,)),
        (rule.verdicts, (one.verdict,)),
        (rule.actions, (one.action,)),
    )
    return all(not wanted or not any(had) or set(wanted) & set(had) for wanted, had in fields)


def counted(count: int) -> str:
    """``1 approval``, ``2 approvals``."""
    return f"{count} approval" if count == 1 else f"{count} approvals"
