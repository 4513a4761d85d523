"""What the approvals of a plan are worth when somebody wants to apply it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from opdeploy.approvals.policy import Need, Policy, counted
from opdeploy.approvals.signatures import SignedApproval, fingerprint, is_genuine
from opdeploy.model import UsageError
from opdeploy.rendering import printable
from opdeploy.results import Approval

HOW = "opdeploy approve FILE --key KEY --note TEXT"
AGAIN = "make the plan again (opdeploy plan --out FILE) and let it be approved"

State = Literal["approves", "rejects", "expired", "wrong signature", "unknown key", "another's key"]


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
