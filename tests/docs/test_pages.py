"""Pages say what the commands do: every link leads somewhere, every example prints what stands below it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from example_practice import ENVIRONMENT

from opdeploy.cli.ending import run
from opdeploy.cli.place import Place
from opdeploy.inventory import CONNECTION_NAMES
from opdeploy.model import ExitCode
from opdeploy.store import tokens

ROOT = Path(__file__).parents[2]
ABOVE = {".venv", ".git", ".pytest_cache", "node_modules"}
PAGES = sorted(page for page in ROOT.rglob("*.md") if not ABOVE & set(page.relative_to(ROOT).parts))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
EXAMPLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REFUSED = re.compile(r"^<!-- (\w+) -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODES = re.compile(r"^\| (\d+) \| ", re.MULTILINE)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def heading_ids(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", target):
            continue
        path, _, part = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name(page)}: {target}"
        assert not part or part in heading_ids(there), f"{name(page)}: {target}"


def test_the_readme_leads_to_every_page() -> None:
    linked = {target.partition("#")[0] for target in LINK.findall(text("README.md"))}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def examples() -> list[tuple[str, str]]:
    """Every `$ command` of a console block, with what stands below it."""
    found = []
    for page in PAGES:
        for block in EXAMPLE.findall(page.read_text(encoding="utf-8")):
            for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, printed = piece.partition("\n")
                found.append((command, printed))
    return found


@pytest.mark.parametrize(("command", "printed"), examples(), ids=lambda value: value.partition("\n")[0][:60])
def test_an_example_prints_what_stands_below_it(
    command: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    program, *arguments = shlex.split(command)
    assert program == "opdeploy"
    run(arguments, Place(tmp_path))
    shown = capsys.readouterr()
    assert shown.out + shown.err == printed


REFUSALS = REFUSED.findall(text("docs/inventory.md"))


@pytest.mark.parametrize(("sample", "printed"), REFUSALS, ids=[sample for sample, _ in REFUSALS])
def test_a_refusal_is_told_in_the_commands_own_words(sample: str, printed: str) -> None:
    """`tests/cli/test_bad_inventories.py` holds that the command prints exactly this file."""
    assert (ROOT / "tests/inventory/bad" / sample / "expected.txt").read_text(encoding="utf-8") == printed


def test_many_refusals_are_told() -> None:
    assert len(REFUSALS) >= 10


def test_the_page_names_every_connection_variable() -> None:
    rows = re.findall(r"^\| `((?:ansible|opdeploy)_\w+)` \|", text("docs/inventory.md"), re.MULTILINE)
    assert sorted(rows) == sorted(CONNECTION_NAMES)


def test_the_page_has_the_exit_codes_that_there_are() -> None:
    assert {int(code) for code in CODES.findall(text("docs/exit-codes.md"))} == {int(code) for code in ExitCode}


def test_the_rule_for_several_codes_is_the_one_that_is_told() -> None:
    (told,) = re.findall(r"the first of ([\d, ]+) wins", text("docs/exit-codes.md"))
    ranked = [int(code) for code in told.split(", ")]
    for place, code in enumerate(ranked):
        assert ExitCode.worst([ExitCode(other) for other in ranked[place:]]) == code


ROWS = {row.partition("|")[0]: row for row in re.findall(r"^\| (.*) \|$", text("docs/snapshots.md"), re.MULTILINE)}


def names_in(beginning: str) -> set[str]:
    (cell,) = [cell for cell in ROWS if cell.startswith(beginning)]
    return set(re.findall(r"`([\w.\\ ]+)…?`", cell))


def test_the_page_on_snapshots_names_all_that_they_leave_out() -> None:
    assert {value.lower() for value in names_in("registry values named")} == tokens.VALUES
    keys = tokens.KEYS.pattern.replace("\\Z", "").replace("\\\\", "\\")
    assert names_in("every value of a key") == set(re.findall(r"\w[\w\\ ]+\w", keys))
    (elements,) = re.findall(r"\((\w+(?:\|\w+)+)\)", tokens.IN_TASKS.pattern)
    assert names_in("a task's") == set(elements.split("|"))
    assert names_in("verbs") == set(tokens.NEVER_KEPT)
