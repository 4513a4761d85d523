"""Approvals of a plan: who must sign what, the signature, and what it is worth when somebody wants to apply. Pure.

An approval is an Ed25519 signature (RFC 8032) over the plan's digest and every field of the approval, as canonical JSON
behind a text of its own, so that no signature made for anything else passes for one. Keys are written as OpenSSH writes
them. What has to be approved stands in a policy that is none of the inventory's: docs/approvals.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import stat_result
from typing import Annotated, Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from opdeploy.inventory.problems import near
from opdeploy.model import UsageError
from opdeploy.rendering import printable, timestamp
from opdeploy.resources import KINDS
from opdeploy.results import Approval

CONTEXT = b"opdeploy.approval/1\0"
HOW = "opdeploy approve FILE --key KEY --note TEXT"
AGAIN = "make the plan again (opdeploy plan --out FILE) and let it be approved"
SETTING = "opdeploy_approvals"
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


# ---------------------------------------------------------------- keys and times


def openssh(key: Ed25519PublicKey) -> str:
    """``ssh-ed25519 AAAA…``, without a comment. [RFC 8709 4]"""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(key: str) -> str:
    """As ``ssh-keygen -l`` prints it: SHA-256 of the key's blob in base64, without padding."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _public(line: str) -> str:
    """Without its comment, so that two lines of one key are the same text. A plain key: a security key (sk-…) signs in a form
    of its own, and of a certificate nobody would see the end."""
    try:
        key = load_ssh_public_key(line.strip().encode()) if line.split()[:1] == ["ssh-ed25519"] else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("expected a public key as 'ssh-keygen -t ed25519' writes it: ssh-ed25519 AAAA… (its .pub file)")
    return openssh(key)


def _bare(key: str) -> str:
    if _public(key) != key:
        raise ValueError("the key is not in the form that is signed")
    return key


def _time(text: str) -> str:
    if not TIME.fullmatch(text) or timestamp(datetime.fromisoformat(text)) != text:
        raise ValueError("expected a time like 2026-12-31T18:00:00Z")
    return text


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("expected a line of text")
    return text


State = Literal["approves", "rejects", "expired", "wrong signature", "unknown key", "another's key"]
Line = Annotated[str, AfterValidator(_line)]
Time = Annotated[str, AfterValidator(_time)]


# ---------------------------------------------------------------- an approval


class SignedApproval(BaseModel):
    """One signed word on a plan, as a plan file holds it. Nobody has verified it yet. A rejection does not expire."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Line
    decision: Literal["approve", "reject"]
    at: Time
    note: Line
    expires: Time | Literal[""]
    key: Annotated[str, AfterValidator(_bare)]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if bool(self.expires) != (self.decision == "approve"):
            raise ValueError("an approval expires, a rejection does not")
        return self

    @property
    def told(self) -> Approval:
        return Approval(self.by, self.decision, self.at, self.note, self.expires, fingerprint(self.key))


def sign(
    key: Ed25519PrivateKey,
    digest: str,
    *,
    by: str,
    note: str,
    at: datetime,
    expires: datetime | None,
) -> SignedApproval:
    """An approval of the plan of that digest; one that never expires is a rejection."""
    fields = {
        "by": by,
        "decision": "approve" if expires else "reject",
        "at": timestamp(at),
        "note": note,
        "expires": timestamp(expires) if expires else "",
        "key": openssh(key.public_key()),
    }
    return SignedApproval.model_validate(fields | {"signature": key.sign(_signed(digest, fields)).hex()})


def is_genuine(approval: SignedApproval, digest: str) -> bool:
    """Whether the key that it carries signed exactly this, of exactly this plan."""
    key = load_ssh_public_key(approval.key.encode())
    assert isinstance(key, Ed25519PublicKey)
    fields = approval.model_dump(exclude={"signature"})
    try:
        key.verify(bytes.fromhex(approval.signature), _signed(digest, fields))
    except InvalidSignature:
        return False
    return True


def _signed(digest: str, fields: Mapping[str, str]) -> bytes:
    text = json.dumps({"plan": digest, **fields}, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return CONTEXT + text.encode()


# ---------------------------------------------------------------- the policy


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

    approvers: Annotated[dict[Line, Annotated[str, AfterValidator(_public)]], Field(min_length=1)]
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


# ---------------------------------------------------------------- what the approvals are worth


def judged(
    policy: Policy | None, needs: Iterable[Need], digest: str, approvals: Sequence[SignedApproval], now: datetime
) -> tuple[Approval, ...]:
    """The approvals that count, verified: the latest word of each key. Raises UsageError where the plan may not be applied."""
    for approval in approvals:
        if not is_genuine(approval, digest):
            said = f"the signature of {printable(approval.by)}'s approval is wrong: it was altered, or is of another plan"
            raise UsageError(said, AGAIN)
    words = latest(approvals)
    for word in words:
        _refuse(word, policy, digest, now)
    for need in needs:
        _count(need, words)
    return tuple(word.told for word in words)


def latest(approvals: Iterable[SignedApproval]) -> tuple[SignedApproval, ...]:
    """The last word of each key; of two in one second, the rejection. In the order in which they were said."""
    ordered = sorted(approvals, key=lambda one: (one.at, one.decision == "reject"))
    words = {one.key: one for one in ordered}
    return tuple(one for one in ordered if words[one.key] is one)


def state(approval: SignedApproval, policy: Policy | None, digest: str, now: datetime) -> State:
    """What one approval is worth by itself, for a list: 'approves', 'rejects', or why it counts for nothing."""
    if not is_genuine(approval, digest):
        return "wrong signature"
    if policy and policy.name_of(approval.key) is None:
        return "unknown key"
    if policy and policy.name_of(approval.key) != approval.by:
        return "another's key"
    if approval.decision == "reject":
        return "rejects"
    return "expired" if datetime.fromisoformat(approval.expires) <= now else "approves"


def _refuse(word: SignedApproval, policy: Policy | None, digest: str, now: datetime) -> None:
    who, key = printable(word.by), fingerprint(word.key)
    match state(word, policy, digest, now):
        case "unknown key":
            raise UsageError(f"{who}'s approval is signed with a key that the policy does not know: {key}", AGAIN)
        case "another's key":
            owner = printable(str(policy and policy.name_of(word.key)))
            raise UsageError(f"the approval says that it is {who}'s, and its key is {owner}'s: {key}", AGAIN)
        case "rejects":
            hint = f"make a plan that {who} approves, or let {who} approve this one: {HOW}"
            raise UsageError(f"{who} rejected this plan on {word.at[:10]}: {printable(word.note)}", hint)
        case "expired":
            raise UsageError(f"{who}'s approval expired at {word.expires}", f"let {who} approve it again: {HOW}")


def _count(need: Need, words: Sequence[SignedApproval]) -> None:
    if not need.missing(words):
        return
    others = need.others(words)
    hint = f"let it be approved by {printable(', '.join(others))}: {HOW}" if others else "the policy names no further approver"
    given = need.approvals - need.missing(words)
    found = f"{given} of them" if given else "none"
    raise UsageError(f"the plan needs {counted(need.approvals)} and has {found}: {need.why}", hint)


def counted(count: int) -> str:
    """``1 approval``, ``2 approvals``."""
    return f"{count} approval" if count == 1 else f"{count} approvals"


# ---------------------------------------------------------------- who may change the policy


def open_to(found: stat_result, account: int, *, above: bool = False) -> str:
    """Why the account that applies could change a file or folder; '' where it could not.

    `above`: a folder further up, where root's own are no way in, and one like /tmp lets nobody rename what is another's.
    """
    if found.st_uid == account and not (above and account == 0):
        return "belongs to the account that applies"
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(found.st_mode)
    if shared and not (above and found.st_mode & stat.S_ISVTX):
        return "can be written by other accounts than its owner"
    return ""
