"""Approvals: what a signature covers, whose count, what a policy may say, and who must not be able to change it."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from opdeploy import controller
from opdeploy.approvals import (
    Need,
    Policy,
    Rule,
    SignedApproval,
    Touched,
    fingerprint,
    is_genuine,
    judged,
    latest,
    open_to,
    openssh,
    required,
    sign,
    state,
)
from opdeploy.inventory import InventoryError
from opdeploy.model import UsageError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAN = "sha256:" + "ab" * 32
ANNA, BERG, CLARA, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(4))
KEYS = {"anna": ANNA, "berg": BERG, "clara": CLARA}
ACCOUNT = Touched("db1", "local_user", "op", ("support_account",), "would_change", "create")
RULE = Touched("db1", "firewall_rule", "OP-In", ("firewall", "portal"), "would_change", "update")
DRIFTED = Touched("ts1", "service", "Spooler", ("op_services",), "unknown", "none")
REFUSED = Touched("ts1", "service", "WinRM", ("op_services",), "would_change", "none")
TWO = Need(2, ("anna", "berg"), "rule 1 of the policy (every change) for local_user op on db1")


def public(key: Ed25519PrivateKey) -> str:
    return openssh(key.public_key())


def policy(*rules: dict[str, Any]) -> Policy:
    approvers = {name: public(key) for name, key in KEYS.items()}
    return Policy.model_validate({"approvers": approvers, "rules": list(rules)})


def word(name: str, key: Ed25519PrivateKey | None = None, **given: Any) -> SignedApproval:
    told = {"by": name, "note": "as agreed", "at": NOW - timedelta(hours=1), "expires": NOW + timedelta(days=7)} | given
    return sign(key or KEYS[name], told.pop("digest", PLAN), **told)


def rejected(name: str, **given: Any) -> SignedApproval:
    return word(name, expires=None, note="not on a Monday", **given)


def refusal(words: Sequence[SignedApproval], needs: Sequence[Need] = (), known: Policy | None = None) -> tuple[str, str]:
    with pytest.raises(UsageError) as raised:
        judged(known, needs, PLAN, words, NOW)
    return raised.value.message, raised.value.hint


# ---------------------------------------------------------------- a signature


def test_an_approval_that_counts() -> None:
    (told,) = judged(policy(), [], PLAN, [word("anna")], NOW)
    assert (told.by, told.decision, told.note) == ("anna", "approve", "as agreed")
    assert (told.at, told.expires) == ("2026-11-22T11:00:00Z", "2026-11-29T12:00:00Z")
    assert told.key == fingerprint(public(ANNA))


def test_every_field_is_signed() -> None:
    signed = word("anna")
    others = {
        "by": "berg",
        "decision": "reject",
        "at": "2026-11-22T11:00:01Z",
        "note": "as agreed.",
        "expires": "2027-11-29T12:00:00Z",
        "key": public(BERG),
        "signature": word("anna", note="another").signature,
    }
    assert set(others) == set(SignedApproval.model_fields)
    for name, value in others.items():
        assert not is_genuine(signed.model_copy(update={name: value}), PLAN), name
    assert not is_genuine(signed, PLAN.replace("a", "c", 1))


def test_a_signature_over_the_bare_fields_is_no_approval() -> None:
    """What a key signs for another purpose must not pass for an approval, whatever its text."""
    signed = word("anna")
    text = '{"at":"%s","by":"anna","decision":"approve","expires":"%s","key":"%s","note":"as agreed","plan":"%s"}'
    bare = text % (signed.at, signed.expires, signed.key, PLAN)
    assert not is_genuine(signed.model_copy(update={"signature": ANNA.sign(bare.encode()).hex()}), PLAN)
    assert is_genuine(signed.model_copy(update={"signature": ANNA.sign(b"opdeploy.approval/1\0" + bare.encode()).hex()}), PLAN)


TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(by=TEXT, note=TEXT, place=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_flipped_byte_is_refused(by: str, note: str, place: int, flip: int) -> None:
    """In any place of the approval as the file has it: it is no approval any more, or not a genuine one."""
    signed = word(by, ANNA, note=note)
    assert is_genuine(SignedApproval.model_validate_json(signed.model_dump_json()), PLAN)
    data = bytearray(signed.model_dump_json().encode())
    data[place % len(data)] ^= flip
    try:
        read = SignedApproval.model_validate_json(bytes(data))
    except ValidationError:
        return
    assert not is_genuine(read, PLAN)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["by", "at", "note", "expires", "key", "signature", "decision"]))
def test_any_other_text_is_refused(text: str, name: str) -> None:
    fields = word("anna").model_dump()
    if fields[name] == text:
        return
    try:
        read = SignedApproval.model_validate(fields | {name: text})
    except ValidationError:
        return
    assert not is_genuine(read, PLAN)


def test_a_key_and_its_comment_are_one_key() -> None:
    known = Policy.model_validate({"approvers": {"anna": public(ANNA) + " anna@audit"}, "rules": []})
    assert known.name_of(public(ANNA)) == "anna"


def test_a_security_key_is_no_key_to_approve_with() -> None:
    kind = "sk-ssh-ed25519@openssh.com"
    parts = (kind.encode(), ANNA.public_key().public_bytes_raw(), b"ssh:")
    line = f"{kind} {base64.b64encode(b''.join(len(part).to_bytes(4) + part for part in parts)).decode()}"
    assert load_ssh_public_key(line.encode()) == ANNA.public_key(), "it holds one that cryptography reads"
    with pytest.raises(ValidationError, match="expected a public key as 'ssh-keygen"):
        Policy.model_validate({"approvers": {"anna": line}, "rules": []})


# ---------------------------------------------------------------- what is refused, and in which words


def test_an_altered_approval() -> None:
    altered = word("anna").model_copy(update={"note": "all is well"})
    assert refusal([altered]) == (
        "the signature of anna's approval is wrong: it was altered, or is of another plan",
        "make the plan again (opdeploy plan --out FILE) and let it be approved",
    )


def test_an_approval_of_another_plan() -> None:
    assert "is of another plan" in refusal([word("anna", digest="sha256:" + "00" * 32)])[0]


def test_an_approval_that_was_altered_counts_against_the_plan_also_when_a_later_one_is_right() -> None:
    assert "is wrong" in refusal([word("anna", at=NOW - timedelta(days=1)).model_copy(update={"note": "x"}), word("anna")])[0]


def test_an_expired_one_with_and_without_a_policy() -> None:
    old = word("anna", expires=NOW)
    for known in (policy(), None):
        said, hint = refusal([old], known=known)
        assert said == "anna's approval expired at 2026-11-22T12:00:00Z"
        assert hint.startswith("let anna approve it again: opdeploy approve")


def test_a_rejection_with_and_without_a_policy() -> None:
    for known in (policy(), None):
        said, hint = refusal([rejected("berg"), word("anna")], known=known)
        assert said == "berg rejected this plan on 2026-11-22: not on a Monday"
        assert "let berg approve this one" in hint


def test_an_unknown_key() -> None:
    said, _ = refusal([word("anna", STRANGER)], known=policy())
    assert said == f"anna's approval is signed with a key that the policy does not know: {fingerprint(public(STRANGER))}"


def test_a_name_that_is_not_the_keys() -> None:
    said, _ = refusal([word("anna", BERG)], known=policy())
    assert said.startswith("the approval says that it is anna's, and its key is berg's: SHA256:")


def test_none_and_too_few() -> None:
    said, hint = refusal([], [TWO], policy())
    assert said == f"the plan needs 2 approvals and has none: {TWO.why}"
    assert hint.startswith("let it be approved by anna, berg: opdeploy approve FILE")
    said, hint = refusal([word("anna")], [TWO], policy())
    assert (said, hint.split(":")[0]) == (
        f"the plan needs 2 approvals and has 1 of them: {TWO.why}",
        "let it be approved by berg",
    )


def test_an_approver_counts_once() -> None:
    words = [word("anna", at=NOW - timedelta(hours=hours)) for hours in (1, 2, 3)]
    assert "has 1 of them" in refusal(words, [TWO], policy())[0]


def test_an_approver_whom_the_rule_does_not_name_does_not_count() -> None:
    assert "has 1 of them" in refusal([word("anna"), word("clara")], [TWO], policy())[0]


def test_the_latest_word_of_a_key_counts() -> None:
    before, after = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    (told,) = judged(policy(), [], PLAN, [word("anna", at=after), rejected("anna", at=before)], NOW)
    assert told.decision == "approve"
    assert "anna rejected" in refusal([rejected("anna", at=after), word("anna", at=before)])[0]
    assert "anna rejected" in refusal([rejected("anna", at=after), word("anna", at=after)])[0]


def test_the_words_stand_in_the_order_in_which_they_were_said() -> None:
    first, second = word("berg", at=NOW - timedelta(hours=2)), word("anna")
    assert latest([second, first]) == (first, second)


def test_what_a_list_says_of_each() -> None:
    told = {
        "approves": word("anna"),
        "rejects": rejected("anna"),
        "expired": word("anna", expires=NOW),
        "unknown key": word("anna", STRANGER),
        "another's key": word("anna", BERG),
        "wrong signature": word("anna").model_copy(update={"note": "x"}),
    }
    assert {said: state(one, policy(), PLAN, NOW) for said, one in told.items()} == {said: said for said in told}


def test_a_line_breaking_name_stays_one_line() -> None:
    with pytest.raises(ValidationError):
        word("anna\nberg", ANNA)


# ---------------------------------------------------------------- what is required


@pytest.mark.parametrize(
    ("rule", "changes", "asked"),
    [
        ({}, [ACCOUNT], True),
        ({}, [REFUSED, DRIFTED], False),
        ({"kinds": ["local_user", "user_right"]}, [RULE, ACCOUNT], True),
        ({"kinds": ["user_right"]}, [RULE, ACCOUNT], False),
        ({"roles": ["portal"]}, [RULE], True),
        ({"roles": ["portal"]}, [ACCOUNT], False),
        ({"roles": ["portal"], "actions": ["remove"]}, [RULE], False),
        ({"actions": ["update", "remove"]}, [ACCOUNT, RULE], True),
        ({"verdicts": ["unknown"]}, [DRIFTED], True),
        ({"verdicts": ["unknown"]}, [ACCOUNT], False),
        ({"verdicts": ["would_change"]}, [REFUSED], True),
        ({"kinds": ["service"], "verdicts": ["unknown"]}, [Touched("ts1", "service", "Spooler", ("op_services",))], True),
        ({"roles": ["portal"], "actions": ["remove"]}, [Touched("ts1", "service", "Spooler", ("op_services",))], False),
    ],
)
def test_which_changes_a_rule_is_for(rule: dict[str, Any], changes: list[Touched], asked: bool) -> None:
    assert bool(required(policy(rule), changes, {})) == asked


def test_a_need_says_which_rule_and_which_change() -> None:
    (need,) = required(policy({"roles": ["portal"]}, {"kinds": ["local_user"], "approvals": 2}), [ACCOUNT], {})
    assert need == Need(2, ("anna", "berg", "clara"), "rule 2 of the policy (kinds local_user) for local_user op on db1")


def test_an_inventory_asks_for_more() -> None:
    needs = required(policy({"kinds": ["local_user"], "by": ["anna"]}), [ACCOUNT, REFUSED], {"db1": 3, "ts1": 3})
    assert [(need.approvals, need.by) for need in needs] == [(1, ("anna",)), (3, ("anna", "berg", "clara"))]
    assert needs[1].why == "opdeploy_approvals of db1 for local_user op on db1"


def test_an_inventory_asks_and_nobody_may_approve() -> None:
    with pytest.raises(UsageError, match=r"db1 asks for 2 approvals \(opdeploy_approvals\), and no policy says whose count"):
        required(None, [ACCOUNT], {"db1": 2})
    assert required(None, [REFUSED], {"ts1": 2}) == ()


# ---------------------------------------------------------------- the policy's file


def read(folder: Path, text: str) -> Policy:
    path = folder / "policy.yml"
    path.write_text(text)
    return controller.read(path, Policy)


APPROVERS = f"approvers:\n  anna: {public(ANNA)} anna@audit\n  berg: {public(BERG)}\n"


def test_a_policy(tmp_path: Path) -> None:
    known = read(tmp_path, APPROVERS + "rules:\n- kinds: [local_user]\n  approvals: 2\n- roles: [firewall]\n  by: [berg]\n")
    assert known.rules == [Rule(kinds=["local_user"], approvals=2), Rule(roles=["firewall"], by=["berg"])]
    assert [known.may(rule) for rule in known.rules] == [("anna", "berg"), ("berg",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"policy\.yml:1:1  approvers: missing\n.*Each approver's name and public key"),
        ("approvers: {}\nrules: []\n", r":1:1  approvers: "),
        (
            "approvers:\n  anna: ssh-rsa AAAA\nrules: []\n",
            r":2:3  approvers\.anna: expected a public key as 'ssh-keygen",
        ),
        (APPROVERS, r"rules: missing"),
        (APPROVERS + "rules:\n- kinds: [local_usr]\n", r":5:11  rules\[0\]\.kinds\[0\]: no kind .* did you mean local_user\?"),
        (
            APPROVERS + "rules:\n- verdicts: [unknwn]\n",
            r":5:14  rules\[0\]\.verdicts\[0\]: expected .*\n.*mean unknown\?",
        ),
        (APPROVERS + "rules:\n- role: [x]\n", r":5:3  rules\[0\]\.role: no such setting\n    did you mean roles\?"),
        (APPROVERS + "rules:\n- approvals: 0\n", r":5:3  rules\[0\]\.approvals: "),
        (APPROVERS + "rules:\n- approvals: 3\n", r"rule 1: nobody could fulfil it: 3 approvals of 2"),
        (APPROVERS + "rules:\n- by: [carla]\n", r"rule 1: carla is none of the approvers"),
        (APPROVERS + f"  carla: {public(BERG)} other\nrules: []\n", r"two approvers have the same key"),
        ("approvers: [\n", r":2:1  not YAML"),
    ],
)
def test_what_is_wrong_with_a_policy_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InventoryError, match=said):
        read(tmp_path, text)


# ---------------------------------------------------------------- who may change it


def found(owner: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))


OWN, SHARED = "belongs to the account that applies", "can be written by other accounts than its owner"


@pytest.mark.parametrize(
    ("owner", "mode", "account", "above", "said"),
    [
        (0, stat.S_IFREG | 0o644, 1000, False, ""),
        (1000, stat.S_IFREG | 0o444, 1000, False, OWN),
        (0, stat.S_IFREG | 0o664, 1000, False, SHARED),
        (0, stat.S_IFREG | 0o646, 1000, False, SHARED),
        (0, stat.S_IFDIR | 0o1777, 1000, False, SHARED),
        (0, stat.S_IFDIR | 0o1777, 1000, True, ""),
        (0, stat.S_IFDIR | 0o777, 1000, True, SHARED),
        (1000, stat.S_IFDIR | 0o755, 1000, True, OWN),
        (0, stat.S_IFREG | 0o600, 0, False, OWN),
        (0, stat.S_IFDIR | 0o755, 0, True, ""),
        (0, stat.S_IFLNK | 0o777, 1000, False, ""),
        (1000, stat.S_IFLNK | 0o777, 1000, False, OWN),
    ],
)
def test_who_could_change_a_file(owner: int, mode: int, account: int, above: bool, said: str) -> None:
    assert open_to(found(owner, mode), account, above=above) == said
