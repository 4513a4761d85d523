"""Approvals on the running lab: what may be applied by which words, and that a refusal comes before any host is touched."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import jsonschema
import pytest
from approvers import KEYS, configure, key_file
from command_line import Done
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fleet import Fleet, fleet
from lab_practice import PROJECT

from opdeploy.approvals import Need, Policy, SignedApproval, fingerprint, judged, openssh, sign
from opdeploy.cli import approving
from opdeploy.lab.windows.state import dump
from opdeploy.model import UsageError
from opdeploy.reports.plan_file import PlanDocument, read_plan
from opdeploy.results import Approval
from opdeploy.store.records import NAME

STRANGER = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
RULES = "rules:\n- kinds: [firewall_rule, local_user]\n  approvals: 2\n"
ONLY = ("--limit", "ts1", "--role", "firewall")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as built:
        for name, key in KEYS.items():
            key_file(built.folder, name, key)
        key_file(built.folder, "stranger", STRANGER)
        yield built


@pytest.fixture
def configured(made: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives this machine a policy with these rules, which another account owns."""
    configured = partial(configure, tmp_path / "etc", monkeypatch)
    configured(RULES)
    return configured


@pytest.fixture(scope="module")
def unsigned(made: Fleet) -> bytes:
    path = made.folder / "unsigned.json"
    assert made.run("plan", *ONLY, "--out", str(path)).code == 2
    return path.read_bytes()


@pytest.fixture
def plan(unsigned: bytes, configured: Callable[[str], None], tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_bytes(unsigned)
    return path


def approve(made: Fleet, plan: Path, name: str, *more: str) -> Done:
    return made.run("approve", str(plan), "--key", str(made.folder / name), "--note", "read it whole", *more, where=False)


def words(plan: Path, *added: SignedApproval) -> PlanDocument:
    """The plan file with approvals that no command made."""
    document = read_plan(plan.read_bytes())
    document = document.model_copy(update={"approvals": [*document.approvals, *added]})
    plan.write_text(document.text)
    return document


def word(plan: Path, name: str, key: Ed25519PrivateKey | None = None, days: int = 7) -> SignedApproval:
    now = datetime.now(UTC)
    digest = read_plan(plan.read_bytes()).digest
    return sign(key or KEYS[name], digest, by=name, note="read", at=now - timedelta(days=9), expires=now + timedelta(days=days))


def counting(text: bytes, rules: Policy | None) -> tuple[Approval, ...]:
    """What `apply` would record of a plan file that both must have approved."""
    document = read_plan(text)
    needs = [Need(2, tuple(KEYS), "rule 1")]
    return judged(rules, needs, document.digest, document.approvals, datetime.now(UTC))


def refused(made: Fleet, *arguments: str) -> str:
    """What is said of it, after it was seen that no host was sent anything, nor recorded."""
    heard = {name: len(box.server.log) for name, box in made.boxes.items()}
    done = made.run(*arguments)
    assert {name: len(box.server.log) for name, box in made.boxes.items()} == heard
    assert (done.code, done.out) == (64, ""), done.err
    return done.err


# ---------------------------------------------------------------- apply


def test_a_plan_that_only_we_may_read_stays_so_when_it_is_approved(made: Fleet, plan: Path) -> None:
    plan.chmod(0o600)
    assert approve(made, plan, "anna").code == 0
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600


def test_two_approve_and_it_is_applied_and_recorded(made: Fleet, configured: Callable[[str], None], tmp_path: Path) -> None:
    plan = tmp_path / "backup1.json"
    assert made.run("plan", "--limit", "backup1", "--role", "firewall", "--out", str(plan)).code == 2
    before = json.loads(plan.read_text())
    assert "still needed: 1 approval of berg, by rule 1 of the policy" in approve(made, plan, "anna").out
    assert "still needed" not in approve(made, plan, "berg", "--expires", "30d").out
    after = json.loads(plan.read_text())
    assert [one["by"] for one in after["approvals"]] == ["anna", "berg"]
    assert after | {"approvals": []} == before
    assert plan.read_bytes() == read_plan(plan.read_bytes()).text.encode()
    done = made.run("apply", str(plan), "--yes")
    assert done.code == 0, done.out + done.err
    with sqlite3.connect(made.store / NAME) as db:
        digest, told = db.execute("SELECT plan, approvals FROM runs WHERE plan <> ''").fetchone()
    assert digest == before["digest"]
    assert [(one["by"], one["decision"], one["note"], one["key"]) for one in json.loads(told)] == [
        (name, "approve", "read it whole", fingerprint(openssh(key.public_key()))) for name, key in KEYS.items()
    ]


def test_none_and_too_few(made: Fleet, plan: Path) -> None:
    said = refused(made, "apply", str(plan), "--yes")
    assert "the plan needs 2 approvals and has none: rule 1 of the policy (kinds firewall_rule, local_user)" in said
    assert "let it be approved by anna, berg: opdeploy approve" in said
    assert approve(made, plan, "anna").code == 0
    assert approve(made, plan, "anna").code == 0
    assert "has 1 of them" in refused(made, "apply", str(plan), "--yes")


def test_an_unknown_key(made: Fleet, plan: Path) -> None:
    words(plan, word(plan, "anna"), word(plan, "berg", STRANGER))
    assert "berg's approval is signed with a key that the policy does not know: SHA256:" in refused(
        made, "apply", str(plan), "--yes"
    )


def test_an_expired_one(made: Fleet, plan: Path) -> None:
    words(plan, word(plan, "anna"), word(plan, "berg", days=-1))
    assert "berg's approval expired at " in refused(made, "apply", str(plan), "--yes")


def test_a_rejection(made: Fleet, plan: Path) -> None:
    approve(made, plan, "anna")
    assert "an apply of it is refused, because of berg (rejects)" in approve(made, plan, "berg", "--reject").out
    assert "berg rejected this plan on " in refused(made, "apply", str(plan), "--yes")
    assert "error: berg rejected" in refused(made, "apply", str(plan), "--yes")
    approve(made, plan, "berg")
    assert "superseded" in made.run("approve", str(plan), "--list", where=False).out


def test_an_altered_approval(made: Fleet, plan: Path) -> None:
    signed = word(plan, "berg")
    words(plan, word(plan, "anna"), signed.model_copy(update={"expires": signed.expires.replace("20", "21", 1)}))
    assert "the signature of berg's approval is wrong" in refused(made, "apply", str(plan), "--yes")


def test_an_altered_plan(made: Fleet, plan: Path) -> None:
    words(plan, word(plan, "anna"), word(plan, "berg"))
    text = plan.read_text()
    plan.write_text(text.replace('"action":"create"', '"action":"remove"', 1))
    assert "was altered" in refused(made, "apply", str(plan), "--yes")


def test_every_byte_of_the_approvals(made: Fleet, plan: Path) -> None:
    """Flipped, the file can't be read, or its approvals are none."""
    words(plan, word(plan, "anna"), word(plan, "berg"))
    text, rules = plan.read_bytes(), approving.policy()
    assert [approval.by for approval in counting(text, rules)] == ["anna", "berg"]
    begin = text.index(b'"approvals":')
    for place in range(begin, text.index(b"]", begin) + 1):
        altered = bytearray(text)
        altered[place] ^= 1
        with pytest.raises(UsageError):
            counting(bytes(altered), rules)


def test_another_inventory(made: Fleet, plan: Path) -> None:
    words(plan, word(plan, "anna"), word(plan, "berg"))
    made.edit("hosts.yml", "all:\n", "all: # another\n")
    assert "the inventory, the roles or the tool changed since" in refused(made, "apply", str(plan), "--yes")
    made.edit("hosts.yml", "all: # another\n", "all:\n")


def test_without_a_policy_approvals_are_still_looked_at(
    made: Fleet, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPDEPLOY_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    words(plan, word(plan, "anna", days=-1))
    assert "anna's approval expired" in refused(made, "apply", str(plan), "--yes")


def test_without_a_file(made: Fleet, configured: Callable[[str], None]) -> None:
    said = refused(made, "apply", *ONLY, "--yes")
    assert "apply without a plan file is refused: it needs 2 approvals by rule 1 of the policy" in said
    assert "opdeploy plan --out FILE; opdeploy approve FILE" in said
    configured("rules:\n- kinds: [package]\n")
    assert made.run("apply", "--limit", "backup1", "--role", "firewall", "--yes").code == 0


def test_a_removal(made: Fleet, configured: Callable[[str], None], tmp_path: Path) -> None:
    of = ("--limit", "backup1", "--role", "firewall")
    configured("rules: []\n")
    assert made.run("apply", *of, "--yes").code == 0
    configured(RULES)
    plan = tmp_path / "back.json"
    assert made.run("remove", *of, "--out", str(plan)).code == 2
    said = refused(made, "remove", *of, "--apply", "--yes")
    assert "remove without a plan file is refused: it needs 2 approvals" in said
    assert "has none: rule 1 of the policy" in refused(made, "remove", str(plan), "--apply", "--yes")
    assert "this plan is one of remove\n    opdeploy remove FILE --apply" in refused(made, "apply", str(plan), "--yes")
    for name in KEYS:
        approve(made, plan, name)
    assert made.run("remove", str(plan), "--apply", "--yes").code == 0
    again = made.run("remove", *of)
    assert (again.code, "  warning: not read: nothing is to be taken back from it\n" in again.out) == (0, True)


def test_a_removal_of_what_is_no_longer_as_it_was(made: Fleet, configured: Callable[[str], None], tmp_path: Path) -> None:
    configured("rules: []\n")
    plan, backup = tmp_path / "back.json", made.boxes["backup1"]
    of = ("--limit", "backup1", "--role", "firewall")
    assert made.run("apply", *of, "--yes").code == 0
    assert made.run("remove", *of, "--out", str(plan)).code == 2
    assert made.run("remove", *of, "--apply", "--yes").code == 0
    before = dump(backup.state)
    done = made.run("remove", str(plan), "--apply", "--yes")
    assert (done.code, "not as the plan saw it, left untouched" in done.out) == (1, True)
    assert dump(backup.state) == before


def test_an_apply_plan_is_no_removal(made: Fleet, plan: Path) -> None:
    assert "this plan is one of apply\n    opdeploy apply FILE" in refused(made, "remove", str(plan), "--apply", "--yes")


@contextmanager
def asking(made: Fleet, count: int) -> Iterator[None]:
    """The inventory asks for so many approvals."""
    user = "    ansible_user: installer\n"
    asked = f"{user}    opdeploy_approvals: {count}\n"
    made.edit("hosts.yml", user, asked)
    yield
    made.edit("hosts.yml", asked, user)


def test_an_inventory_asks_for_more(made: Fleet, configured: Callable[[str], None]) -> None:
    configured("rules: []\n")
    with asking(made, 2):
        said = refused(made, "apply", *ONLY, "--yes")
    assert "it needs 2 approvals by opdeploy_approvals of ts1" in said


def test_who_approves_is_told_what_the_inventory_asks_for(
    made: Fleet, configured: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("rules: []\n")
    plan = tmp_path / "asked.json"
    with asking(made, 3):
        assert made.run("plan", *ONLY, "--out", str(plan)).code == 2
    assert "still needed: 2 approvals of berg, by opdeploy_approvals of ts1" in approve(made, plan, "anna").out
    assert "still needed: 1 approval of somebody whom the policy does not name" in approve(made, plan, "berg").out
    monkeypatch.delenv("OPDEPLOY_CONFIG")
    assert "the inventory asks for 3 approvals for a change of ts1" in approve(made, plan, "anna", "--as", "anna").out


def test_a_rule_for_a_role_that_is_none(made: Fleet, configured: Callable[[str], None]) -> None:
    configured("rules:\n- roles: [firewal]\n")
    said = refused(made, "apply", *ONLY, "--yes")
    assert "the approval policy has a rule for the role firewal, and there is none\n    did you mean firewall?" in said


def test_a_policy_that_the_account_could_change(
    made: Fleet, configured: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc/policy.yml").chmod(0o666)
    said = refused(made, "apply", *ONLY, "--yes")
    assert "an approval policy that binds nobody" in said
    assert "policy.yml can be written by other accounts than its owner" in said
    monkeypatch.undo()
    monkeypatch.setenv("OPDEPLOY_CONFIG", str(tmp_path / "etc/config.yml"))
    assert "config.yml belongs to the account that applies" in refused(made, "apply", *ONLY, "--yes")


def test_a_link_to_a_policy_that_others_could_change(made: Fleet, configured: Callable[[str], None], tmp_path: Path) -> None:
    policy, elsewhere = tmp_path / "etc/policy.yml", tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    policy.symlink_to(policy.rename(elsewhere / "policy.yml"))
    assert f"binds nobody: {elsewhere} can be written by other accounts" in refused(made, "apply", *ONLY, "--yes")


def test_every_link_on_the_way_to_a_policy_is_one_that_nobody_could_change(
    made: Fleet, configured: Callable[[str], None], tmp_path: Path
) -> None:
    """It is named by a link, and is where only its owner writes: in between somebody else could lead elsewhere."""
    policy, between, real = tmp_path / "etc/policy.yml", tmp_path / "between", tmp_path / "real"
    for folder in (between, real):
        folder.mkdir()
    (between / "folder").symlink_to("../real")
    (real / "policy.yml").symlink_to(policy.rename(real / "rules.yml").name)
    policy.symlink_to("../between/folder/../real/policy.yml")
    assert "needs 2 approvals" in refused(made, "apply", *ONLY, "--yes")
    between.chmod(0o777)
    assert f"binds nobody: {tmp_path}/etc/../between can be written by other accounts" in refused(made, "apply", *ONLY, "--yes")


def test_links_to_a_policy_that_lead_nowhere_end(made: Fleet, configured: Callable[[str], None], tmp_path: Path) -> None:
    policy = tmp_path / "etc/policy.yml"
    policy.rename(tmp_path / "etc/rules.yml")
    policy.symlink_to("policy.yml")
    assert "policy.yml: Too many levels of symbolic links" in refused(made, "apply", *ONLY, "--yes")


# ---------------------------------------------------------------- approve


def test_keys_as_they_are_written(made: Fleet, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "word").write_text("open sesame\n")
    (tmp_path / "word").chmod(0o600)
    given = ("--passphrase-file", str(tmp_path / "word"))
    for form in ("OpenSSH", "PKCS8"):
        bare, closed = (key_file(tmp_path, form + word, KEYS["anna"], form, word.encode()) for word in ("", "open sesame"))
        for key, more in ((bare, ()), (bare, given), (closed, given)):
            assert approve(made, plan, str(key), *more).code == 0
    assert len(read_plan(plan.read_bytes()).approvals) == 6


def test_the_passphrase_is_asked_for_on_a_terminal(made: Fleet, plan: Path, tmp_path: Path) -> None:
    key = key_file(tmp_path, "closed", KEYS["anna"], passphrase=b"open sesame")
    arguments = ["approve", plan, "--key", key, "--note", "read", "--as", "anna"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "opdeploy", *arguments],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True, text=True,
        env=os.environ | {"OPDEPLOY_CONFIG": os.devnull},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"passphrase of" not in said:
        said += os.read(ours, 1000)
    os.write(ours, b"open sesame\n")
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, "anna approves: read" in out) == (0, True)


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_a_key_that_ssh_keygen_wrote(made: Fleet, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPDEPLOY_CONFIG", os.devnull)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    told = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], check=True, capture_output=True, text=True).stdout
    done = approve(made, plan, str(tmp_path / "key"), "--as", "anna")
    assert (done.code, told.split()[1] in done.out) == (0, True)


def test_a_plan_that_somebody_signed_is_not_overwritten(made: Fleet, plan: Path) -> None:
    approve(made, plan, "anna")
    before = plan.read_bytes()
    for again in (("plan", *ONLY), ("remove", "--role", "firewall", "--limit", "ts1")):
        done = made.run(*again, "--out", str(plan))
        assert (done.code, f"{plan} is a plan that anna signed: it is not overwritten" in done.err) == (64, True), done.err
    assert plan.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["anna", "--as", "berg"], "by this machine's policy the key is anna's"),
        (["stranger"], "this machine's approval policy does not know the key SHA256:"),
        (["anna", "--expires", "2020-01-01"], "--expires 2020-01-01 is over already"),
        (["anna", "--expires", "999999999d"], "--expires 999999999d is more than 92 days ahead"),
        (["anna", "--expires", "soon"], "expected days (7d) or a date (2026-12-31)"),
        (["anna", "--expires", "7d", "--reject"], "a rejection does not expire"),
        (["anna", "--note", " "], "--note: expected a line of text"),
        (["nowhere"], "No such file"),
        (["folder"], "folder is a folder\n    name the file in it"),
        (["open"], "open can be read by others than its owner\n    chmod 600"),
        (["closed"], "has a passphrase, and here is no terminal to ask for it"),
        (["closed", "--passphrase-file", "anna"], "does not open with this passphrase"),
        (["garbage"], "is no private key in OpenSSH's or PKCS#8's form"),
        (["elliptic"], "is a key of another kind: approvals are signed with Ed25519"),
    ],
)
def test_what_is_not_signed(
    arguments: list[str], said: str, made: Fleet, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key_file(tmp_path, "anna", KEYS["anna"])
    key_file(tmp_path, "stranger", STRANGER)
    (tmp_path / "folder").mkdir()
    key_file(tmp_path, "open", KEYS["anna"]).chmod(0o644)
    key_file(tmp_path, "closed", KEYS["anna"], passphrase=b"open sesame")
    key_file(tmp_path, "elliptic", generate_private_key(SECP256R1()), "PKCS8")  # type: ignore[arg-type]
    (tmp_path / "garbage").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    (tmp_path / "garbage").chmod(0o600)
    before = plan.read_bytes()
    name, *more = arguments
    done = made.run("approve", str(plan), "--key", name, "--note", "read it whole", *more, where=False)
    assert (done.code, plan.read_bytes()) == (64, before), done.err
    assert said in done.err


def test_a_list(made: Fleet, plan: Path) -> None:
    words(plan, word(plan, "anna"), word(plan, "anna", days=-1), word(plan, "berg", STRANGER))
    done = made.run("approve", str(plan), "--list", "--format", "json", where=False)
    told = json.loads(done.out)
    jsonschema.validate(told, json.loads((PROJECT / "docs/schemas/approvals.schema.json").read_text()))
    assert done.code == 0
    assert told["plan"] == read_plan(plan.read_bytes()).digest
    assert {(one["by"], one["state"]) for one in told["approvals"]} == {
        ("anna", "superseded"),
        ("anna", "expired"),
        ("berg", "unknown key"),
    }


def test_a_list_wants_no_key_and_an_approval_does(made: Fleet, plan: Path) -> None:
    done = made.run("approve", str(plan), where=False)
    assert (done.code, "an approval wants --key and --note" in done.err) == (64, True)
