"""The controller's configuration: which file counts, what stands in it, and what is said of one that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from opdeploy.controller import Controller, addresses, load
from opdeploy.inventory import InventoryError


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_machines_file_is_the_only_one_that_counts(tmp_path: Path) -> None:
    machine = written(tmp_path / "etc/config.yml", "policy: of-the-machine.yml\n")
    named = written(tmp_path / "named.yml", "policy: of-mine.yml\n")
    own = written(tmp_path / "home/opdeploy/config.yml", "policy: of-home.yml\n")
    environment = {"OPDEPLOY_CONFIG": str(named), "XDG_CONFIG_HOME": str(tmp_path / "home")}
    assert load(environment, machine) == Controller(machine, tmp_path / "etc/of-the-machine.yml")
    machine.unlink()
    assert load(environment, machine).path == named
    del environment["OPDEPLOY_CONFIG"]
    assert load(environment, machine).path == own
    own.unlink()
    assert load(environment, machine) == Controller()


def test_a_link_to_nowhere_does_not_pass_for_no_policy(tmp_path: Path) -> None:
    machine = tmp_path / "config.yml"
    machine.symlink_to(tmp_path / "gone.yml")
    with pytest.raises(InventoryError, match=r"config\.yml  cannot be read: No such file"):
        load({}, machine)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"named\.yml  cannot be read"):
        load({"OPDEPLOY_CONFIG": str(tmp_path / "named.yml")}, tmp_path / "none.yml")


def test_policy_and_run_store_are_known_without_what_only_the_night_may_read(tmp_path: Path) -> None:
    machine = written(tmp_path / "config.yml", "policy: policy.yml\nstore: kept/here\nnotify:\n- from_file: gone\n")
    assert load({}, machine) == Controller(machine, tmp_path / "policy.yml", tmp_path / "kept/here")
    with pytest.raises(InventoryError, match=r"gone cannot be read"):
        addresses({}, machine)
    machine.write_text("store: /var/lib/opdeploy\n")
    assert load({}, machine) == Controller(machine, None, Path("/var/lib/opdeploy"))
    assert addresses({}, machine) == ()
    machine.unlink()
    assert addresses({"XDG_CONFIG_HOME": str(tmp_path)}, machine) == ()


@pytest.mark.parametrize("reads", [load, addresses])
def test_two_policies_are_none_for_anybody(tmp_path: Path, reads: Callable[..., object]) -> None:
    machine = written(tmp_path / "config.yml", "policy: one.yml\npolicy: other.yml\n")
    with pytest.raises(InventoryError, match=r":2:1  policy"):
        reads({}, machine)


def test_who_is_told_is_a_secret(tmp_path: Path) -> None:
    written(tmp_path / "teams", "msteams://token-in-a-file\n")
    machine = written(tmp_path / "config.yml", "notify:\n- from_file: teams\n- {from_env: MAIL_URL}\n")
    notify = addresses({"MAIL_URL": "mailto://anna:pass@example.org"}, machine)
    assert [secret.reveal() for secret in notify] == ["msteams://token-in-a-file", "mailto://anna:pass@example.org"]
    assert "token" not in repr(notify)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notify:\n- msteams://token\n", r":2:3  notify\[0\]: an address to notify holds a token and may not stand here"),
        ("notify:\n- from_env: NOT_SET\n", r":2:3  notify\[0\]: the environment variable NOT_SET is not set"),
        ("notify:\n- from_file: gone\n", r"gone cannot be read.*\n    a relative path begins at this file's folder"),
        ("polcy: x.yml\n", r":1:1  polcy: no such setting\n    did you mean policy\?"),
        ("policy: [a\n", r":2:1  not YAML"),
        ("policy: 3\n", r":1:1  policy: expected text, found 3"),
        ("- policy\n", r"expected keys and values"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InventoryError, match=said) as raised:
        addresses({}, written(tmp_path / "config.yml", text))
    assert "token\n" not in raised.value.message
