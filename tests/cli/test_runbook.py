"""``opdeploy runbook``: the pages of docs/runbooks listed and printed; without them it says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner

from opdeploy.cli import runbook
from opdeploy.cli.app import app
from opdeploy.cli.ending import run
from opdeploy.cli.place import Place
from opdeploy.model import ExitCode

PAGES = sorted(page for page in runbook.OWN.glob("*.md") if page.stem != "README")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/runbooks.schema.json").read_text(encoding="utf-8"))
NAMES = [page.stem for page in PAGES]
WHOLE = """---
id: no-dial-tone
title: No dial tone
for: [front desk]
source: [{file: 009.txt, heading: Telephones}]
symptoms: [The line is dead.]
---
# No dial tone
"""


def opdeploy(*arguments: str) -> int:
    return run(["runbook", *arguments], Place())


def test_the_list_has_every_runbook_with_what_callers_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert opdeploy("list") == ExitCode.OK
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "title", "symptoms"]
    assert [row.split()[0] for row in rows if not row.startswith(" ")] == NAMES
    at = head.index("symptoms")
    assert [row[at:] for row in rows] == [symptom for book in runbook.found().values() for symptom in book.symptoms]


def test_the_list_as_json_has_the_front_matter(capsys: pytest.CaptureFixture[str]) -> None:
    opdeploy("list", "--format", "json")
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    assert [book["id"] for book in document["runbooks"]] == NAMES
    assert {tuple(book) for book in document["runbooks"]} == {("id", "title", "for", "source", "symptoms")}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_it_is_plain_markdown_for_who_passes_it_on(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert opdeploy("show", page.stem) == ExitCode.OK
    shown = capsys.readouterr().out
    assert shown.startswith("# ")
    assert page.read_text(encoding="utf-8").endswith(f"---\n{shown}")


def test_it_is_laid_out_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    assert opdeploy("show", "parent-sees-no-patient") == ExitCode.OK
    shown = click.unstyle(capsys.readouterr().out)
    assert "**" not in shown
    assert "\n 12 On the admin side" in shown, "steps keep their numbers below a heading"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("parent-as-patent", "did you mean parent-as-patient?"), ("coffee", f"there are: {', '.join(NAMES)}")],
)
def test_a_name_that_is_none_is_answered_with_one_that_is(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert opdeploy("show", name) == ExitCode.USAGE
    assert capsys.readouterr().err == f"error: no runbook {name}\n    {hint}\n"


@pytest.mark.parametrize("arguments", [["list"], ["show", "parent-as-patient"]])
def test_an_installed_wheel_says_in_a_line_that_it_has_none(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(runbook, "OWN", tmp_path / "docs" / "runbooks")
    assert opdeploy(*arguments) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "docs/runbooks of a checkout" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("title: No dial tone\n", "", "title: Field required"),
        ("title:", "headline: Dead\ntitle:", "headline: Extra inputs are not permitted"),
        ("[The line is dead.]", "[]", "symptoms: "),
        ("[The line is dead.]", "[", "its front matter can't be read: "),
        ("---\n", "", "its front matter can't be read: "),
    ],
)
def test_a_page_with_a_bad_front_matter_is_named(
    before: str, after: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(runbook, "OWN", tmp_path)
    page = tmp_path / "no-dial-tone.md"
    page.write_text(WHOLE)
    assert opdeploy("list") == ExitCode.OK
    page.write_text(WHOLE.replace(before, after))
    assert opdeploy("list") == ExitCode.USAGE
    assert f"{page}: {told}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["list", "show"])
def test_help_has_examples(command: str) -> None:
    assert "opdeploy runbook " in CliRunner().invoke(app, ["runbook", command, "--help"]).output.partition("Examples:")[2]


def completed(begun: str) -> list[str]:
    context = click.Context(runbook.show)
    return [item.value for item in runbook.show.params[0].shell_complete(context, begun)]


def test_names_are_completed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert completed("") == NAMES
    assert completed("parent-") == ["parent-as-patient", "parent-sees-no-patient"]
    monkeypatch.setattr(runbook, "OWN", tmp_path / "nowhere")
    assert completed("") == []
