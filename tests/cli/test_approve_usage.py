"""What a tired auditor does with ``opdeploy approve``: nothing is taken for a signature that is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import runs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from opdeploy.approvals import sign
from opdeploy.cli import ending
from opdeploy.cli.place import Place
from opdeploy.reports.plan_file import plan_document, read_plan

KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPDEPLOY_CONFIG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    (tmp_path / "anna").write_bytes(KEY.private_bytes(*form))
    (tmp_path / "anna").chmod(0o600)
    path = tmp_path / "plan.json"
    path.write_text(plan_document(runs.FLEET, b"k" * 32).text)
    return path


def approve(plan: Path, *more: str) -> int:
    return ending.run(["approve", str(plan), *more], Place(plan.parent / "store"))


def signing(plan: Path) -> tuple[str, ...]:
    return ("--key", str(plan.parent / "anna"), "--as", "anna", "--note", "read it whole")


def words(plan: Path) -> list[tuple[str, str]]:
    return [(word.by, word.decision) for word in read_plan(plan.read_bytes()).approvals]


@pytest.mark.parametrize("more", [("--reject",), ("--key", "anna"), ("--note", "no"), ("--expires", "7d")], ids=" ".join)
def test_a_list_is_never_taken_for_a_word(plan: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert approve(plan, "--list", *more) == 64
    assert capsys.readouterr().err.startswith("error: --list signs nothing\n")


def test_what_never_ends_is_no_plan_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert approve(Path("/dev/zero"), "--list") == 64
    assert capsys.readouterr().err.startswith("error: /dev/zero: the plan file is larger than any plan\n")


def test_who_signs_a_link_signs_the_plan_that_it_leads_to(plan: Path) -> None:
    link = plan.parent / "for-anna.json"
    link.symlink_to(plan.name)
    assert approve(link, *signing(plan)) == 0
    assert link.is_symlink()
    assert words(plan) == [("anna", "approve")]


def test_the_public_half_of_a_key_is_named_as_such(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert approve(plan, "--key", "anna.pub", "--as", "anna", "--note", "read it whole") == 64
    assert capsys.readouterr().err == "error: anna.pub is the public half of a key\n    sign with the other: anna\n"


def test_a_rejection_that_an_approval_of_tomorrow_would_outlive_is_not_signed(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, tomorrow = read_plan(plan.read_bytes()), datetime.now(UTC) + timedelta(days=1)
    ahead = sign(KEY, document.digest, by="anna", note="read", at=tomorrow, expires=tomorrow + timedelta(days=7))
    plan.write_text(document.model_copy(update={"approvals": [ahead]}).text)
    assert approve(plan, *signing(plan), "--reject") == 64
    assert f"anna's last word on it is of {ahead.at}, and here it is " in capsys.readouterr().err
    assert words(plan) == [("anna", "approve")]
