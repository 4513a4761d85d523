"""Any text gives an Inventory or an InventoryError; the digest covers every file; paths are shown from where one stands."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.inventory import Inventory, InventoryError, load
from opdeploy.inventory.ranges import expand

WORDS = ["all", "children", "hosts", "vars", "db[1:3]", "g", "ansible_port", "ansible_user", "from_env", "x", "5985"]
VALUES = st.recursive(
    st.sampled_from([*WORDS, "null", "[a]", "'{{ x }}'", "!vault x", "12:30", "-1"]),
    lambda inner: st.lists(st.tuples(st.sampled_from(WORDS), inner), max_size=4).map(
        lambda pairs: "{" + ", ".join(f"'{key}': {value}" for key, value in pairs) + "}"
    ),
)
YAML_LIKE = VALUES | st.text("al: -[]{}&*!#|>'\"%?\n=<~019hosts", max_size=80)


def outcome(directory: Path) -> Inventory | str:
    try:
        return load(directory, {})
    except InventoryError as error:
        return str(error)


@given(YAML_LIKE, YAML_LIKE)
@settings(max_examples=100, deadline=None)
def test_any_text_gives_an_inventory_or_its_problems(hosts: str, variables: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "group_vars").mkdir()
        (directory / "hosts.yml").write_text(hosts)
        (directory / "group_vars" / "all.yml").write_text(variables)
        told = outcome(directory)
        assert isinstance(told, Inventory) or f"{directory}/" in told


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = Path("practice")
    (made / "group_vars" / "g").mkdir(parents=True)
    (made / "hosts.yml").write_text("all: { children: { g: { hosts: { b: , a: } } } }\n")
    (made / "group_vars" / "g" / "login.yml").write_text("ansible_user: x\nansible_password: { from_env: PW }\n")
    return made


def test_hosts_keep_the_order_of_the_file(directory: Path) -> None:
    assert [host.name for host in load(directory, {"PW": "x"}).hosts] == ["b", "a"]


@pytest.mark.parametrize("name", ["hosts.yml", "group_vars/g/login.yml"])
def test_the_digest_covers_every_file_and_no_secret(directory: Path, name: str) -> None:
    before = load(directory, {"PW": "x"}).sources
    assert load(directory, {"PW": "y"}).sources == before
    with (directory / name).open("a") as file:
        file.write("# a comment\n")
    assert load(directory, {"PW": "x"}).sources != before


def test_paths_are_shown_from_where_one_stands(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InventoryError) as raised:
        load(directory.absolute(), {})
    assert str(raised.value).startswith("practice/group_vars/g/login.yml:2:1  ansible_password: the environment")
    outside = directory.absolute()
    monkeypatch.chdir(outside / "group_vars" / "g")
    with pytest.raises(InventoryError) as raised:
        load(outside, {})
    assert str(raised.value).startswith("login.yml:2:1  ")
    (outside / "hosts.yml").rename(outside / "gone")
    elsewhere = outside.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(InventoryError) as raised:
        load(outside, {})
    assert str(raised.value).startswith(f"{outside}  no hosts.yml here")


def test_what_is_no_folder_is_said(directory: Path) -> None:
    said = []
    for path in (directory / "hosts.yml", directory / "nowhere"):
        with pytest.raises(InventoryError) as raised:
            load(path, {})
        said.append(str(raised.value).splitlines())
    assert said[0][0].endswith("hosts.yml  a file, where an inventory is a folder")
    assert said[0][1].startswith("    say -i ")
    assert said[1][0].endswith("nowhere  no such folder")


def test_one_mistake_for_many_hosts_is_told_once(directory: Path) -> None:
    with pytest.raises(InventoryError) as raised:
        load(directory, {})
    assert len(raised.value.problems) == 1


def test_a_file_that_cannot_be_read_is_a_problem(directory: Path) -> None:
    (directory / "group_vars" / "all.yml").symlink_to("all.yml")
    with pytest.raises(InventoryError, match=r"group_vars/all.yml  cannot be read: "):
        load(directory, {})


def test_a_folder_that_cannot_be_listed_is_a_problem(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(InventoryError, match=r"^practice  cannot be read: Permission denied$"):
        load(directory, {})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("db", "db"),
        ("db[1:3]", "db1 db2 db3"),
        ("db[08:10].x", "db08.x db09.x db10.x"),
        ("[a:c:2]-[:1]", "a-0 a-1 c-0 c-1"),
    ],
)
def test_ranges(pattern: str, expected: str) -> None:
    assert expand(pattern) == expected.split()


@pytest.mark.parametrize(
    "pattern",
    ["db[1]", "db[]", "db[3:1]", "db[c:a]", "db[1:]", "db[01:100]", "db[1:3:0]", "db[0:999999999]", "db[1:99][1:99]"],
)
def test_ranges_that_stand_for_nothing(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\[|more than"):
        expand(pattern)
