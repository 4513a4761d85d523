"""docs/how-to/new-kind.md is followed: in a copy of the project, step by step, until the new kind works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/how-to/new-kind.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"<!-- (?:new file: (?P<new>\S+)|in file: (?P<file>\S+), below: (?P<below>.+?)) -->\n```\w+\n(?P<text>.*?)```\n", re.DOTALL
)
PARTS = ("deploy", "tests", "docs", "roles", "inventories", "templates", "files", "pyproject.toml", "README.md")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is when every step of the page was taken."""
    folder = tmp_path_factory.mktemp("project")
    for part in PARTS:
        source = PROJECT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    for step in STEP.finditer(PAGE):
        take(step, folder)
    return folder


def take(step: re.Match[str], folder: Path) -> None:
    if step["new"]:
        path = folder / step["new"]
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists(), f"{step['new']} is there already: it is no new kind any more"
        path.write_text(step["text"], encoding="utf-8")
        return
    path = folder / step["file"]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (at,) = [number for number, line in enumerate(lines) if line.startswith(step["below"])]
    lines.insert(at + 1, step["text"])
    path.write_text("".join(lines), encoding="utf-8")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "deploy"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_page_has_all_its_steps() -> None:
    taken = [step["new"] or step["file"] for step in STEP.finditer(PAGE)]
    assert len(taken) == len(set(taken)) == PAGE.count("<!-- ") == 14


def test_the_new_kind_passes_what_every_kind_has_to_pass(copy: Path) -> None:
    written = run(copy, "opdeploy", "docs")
    assert written.returncode == 0, written.stderr
    tests = ["tests/resources/test_cases.py", "tests/resources/test_mandatory.py", "tests/resources/test_resources_printer.py"]
    passed = run(
        copy, "pytest", "-q", "-p", "no:cacheprovider", *tests, "tests/docs/test_reference.py", "-k", "printer or stale"
    )
    assert passed.returncode == 0, passed.stdout
    assert int(re.search(r"(\d+) passed", passed.stdout)[1]) >= 12  # type: ignore[index]


def test_the_lists_and_their_pages_agree_but_for_the_number_that_the_page_speaks_of(copy: Path) -> None:
    tests = ["tests/resources/test_agent_lists.py", "tests/powershell", "tests/docs/test_security_page.py"]
    told = run(copy, "pytest", "-q", "-p", "no:cacheprovider", *tests, "tests/lab/windows/test_lab_agent.py")
    failed = re.findall(r"^FAILED (\S+)", told.stdout, re.MULTILINE)
    assert failed == ["tests/docs/test_security_page.py::test_it_says_how_long_the_agent_is"], told.stdout


def test_explain_prints_it(copy: Path) -> None:
    assert "The name of a driver that is installed." in run(copy, "opdeploy", "explain", "printer").stdout
