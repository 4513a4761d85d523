"""Every bad inventory of tests/inventory/bad, as a person meets it: exactly its message on stderr, nothing on stdout, 64."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from fake_roles import ENVIRONMENT

from opdeploy.cli.ending import run
from opdeploy.cli.place import Place
from opdeploy.roles import find

BAD = Path(__file__).parents[1] / "inventory" / "bad"
ROLES = Path(__file__).parent / "roles"


@pytest.fixture(autouse=True)
def _only_the_role_of_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message proposes the names of the roles that there are."""
    monkeypatch.setattr("opdeploy.cli.compiled.find", partial(find, own=ROLES))


@pytest.mark.parametrize("command", [["inventory", "validate"], ["plan"], ["drift", "check"], ["apply", "--yes"]])
def test_every_command_refuses_it(command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(BAD)
    assert run([*command, "-i", "tab"], Place(tmp_path)) == 64
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(folder.name for folder in BAD.iterdir()))
def test_the_message_is_exactly_this(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(BAD)
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    assert run(["inventory", "validate", "-i", name], Place(tmp_path)) == 64
    shown = capsys.readouterr()
    assert (shown.err, shown.out) == ((BAD / name / "expected.txt").read_text(), "")
