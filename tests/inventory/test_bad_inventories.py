"""Each folder of bad/ is an inventory with something wrong: the message is exactly its expected.txt, the exit code 64."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_roles import ENVIRONMENT, compiled

from opdeploy.inventory import InventoryError
from opdeploy.model import ExitCode

BAD = Path(__file__).parent / "bad"
NAMES = sorted(folder.name for folder in BAD.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_the_message_is_exactly_this(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(InventoryError) as raised:
        compiled(Path(name))
    assert raised.value.message + "\n" == (BAD / name / "expected.txt").read_text()
    assert raised.value.exit_code == ExitCode.USAGE == 64


@pytest.mark.parametrize("name", NAMES)
def test_no_message_shows_a_secret(name: str) -> None:
    expected = (BAD / name / "expected.txt").read_text()
    assert not [secret for secret in (*ENVIRONMENT.values(), "Sommer2024!", "Winter2024!") if secret in expected]


def test_there_are_at_least_twenty() -> None:
    assert len(NAMES) >= 20
