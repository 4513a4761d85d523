"""docs/reference is what the code says, `opdeploy explain` prints the same, and no setting goes without a word on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from opdeploy import roles
from opdeploy.cli.app import app
from opdeploy.cli.docs import pages
from opdeploy.model import ExitCode
from opdeploy.reports.reference import EXIT_CODES, MADE, explained, explained_role, kind_page, role_page
from opdeploy.resources import KINDS

REFERENCE = Path(__file__).parents[2] / "docs/reference"


def opdeploy(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, standalone_mode=False)


def test_the_reference_is_not_stale() -> None:
    there = {path.relative_to(REFERENCE).as_posix(): path.read_text(encoding="utf-8") for path in REFERENCE.rglob("*.md")}
    assert there == pages(), "run opdeploy docs"


def test_docs_writes_what_is_missing_and_removes_what_is_left_over(tmp_path: Path) -> None:
    assert opdeploy("docs", "--out", str(tmp_path)).return_value == ExitCode.OK
    (tmp_path / "kinds" / "service.md").write_text("old")
    (tmp_path / "kinds" / "printer.md").write_text(f"{MADE}\n")
    (tmp_path / "notes.md").write_text("somebody's own")
    stale = opdeploy("docs", "--check", "--out", str(tmp_path))
    assert stale.return_value == ExitCode.CHANGES
    assert "printer.md is stale" in stale.stderr
    assert "notes.md" not in stale.stderr
    opdeploy("docs", "--out", str(tmp_path))
    assert opdeploy("docs", "--check", "--out", str(tmp_path)).return_value == ExitCode.OK
    assert not (tmp_path / "kinds" / "printer.md").exists()
    assert (tmp_path / "notes.md").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_explain_prints_the_same(kind: str) -> None:
    assert opdeploy("explain", kind).stdout == kind_page(kind)
    assert kind_page(kind).strip() in (REFERENCE / "kinds" / f"{kind}.md").read_text(encoding="utf-8")
    assert json.loads(opdeploy("explain", kind, "--format", "json").stdout)["kind"] == kind


def test_explain_lists_the_kinds_and_knows_a_misspelt_one() -> None:
    assert [line.split()[0] for line in opdeploy("explain").stdout.splitlines()] == list(KINDS)
    error = opdeploy("explain", "servise").exception
    assert (str(error), getattr(error, "hint", "")) == ("servise: no such kind, and no such role", "did you mean service?")


@pytest.mark.parametrize("role", list(roles.find()), ids=lambda role: role.name)
def test_a_role_says_what_each_setting_is(role: roles.Role) -> None:
    told = explained_role(role)
    assert told.title
    assert [setting.name for group in (told.settings, *told.parts.values()) for setting in group if not setting.says] == []
    assert role_page(role).strip() in (REFERENCE / "roles" / f"{role.name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_what_each_setting_is_and_shows_an_example_that_holds(kind: str) -> None:
    told = explained(kind)
    silent = [setting.name for group in (told.settings, *told.parts.values()) for setting in group if not setting.says]
    assert silent == []
    examples = yaml.safe_load(told.example)
    assert examples
    for example in examples:
        KINDS[kind].model_validate(example)


def test_every_exit_code_has_its_meaning() -> None:
    assert set(EXIT_CODES) == set(ExitCode)
