"""waivers.yml: what it says, that it is no part of a desired state, and how long a waiver may be. Mistakes: bad/waivers*."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from opdeploy.inventory import Inventory, InventoryError, load

GOOD = Path(__file__).parent / "good"
ENVIRONMENT = {"OP_ADMIN": "x", "OP_FIREBIRD": "y"}
HOSTS = (GOOD / "plain" / "hosts.yml").read_text(encoding="utf-8")
ONE = "  - { resource: service/Spooler, reason: x, by: anna, until: %s }\n"


def made(folder: Path, *untils: object) -> Inventory:
    (folder / "hosts.yml").write_text(HOSTS)
    (folder / "waivers.yml").write_text("waivers:\n" + "".join(ONE % until for until in untils))
    return load(folder, ENVIRONMENT)


def test_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOOD)
    one, other = load("waivers", ENVIRONMENT).waivers
    assert (one.at, one.hosts, one.named) == ("waivers/waivers.yml:2", "database_servers", {"db1.example"})
    assert (one.resource, one.properties, one.by, one.until) == ("service/Spooler", ("start_mode",), "anna", date(2026, 11, 30))
    assert (other.at, other.hosts, other.named) == ("waivers/waivers.yml:8", "all", {"db1.example", "backup1.example"})
    assert (other.properties, other.until) == ((), date(2026, 6, 30))


def test_there_need_be_none(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    for text in ("", "waivers: []\n", "waivers:\n"):
        (tmp_path / "waivers.yml").write_text(text)
        assert load(tmp_path, ENVIRONMENT).waivers == ()


def test_an_inventory_without_hosts_has_nothing_to_waive(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: { children: { servers: } }\n")
    (tmp_path / "waivers.yml").write_text("waivers:\n" + ONE % date.today())
    with pytest.raises(InventoryError, match=r"waivers\.yml:2:5  waivers\[0\]\.hosts: all leaves no host"):
        load(tmp_path, ENVIRONMENT)


def test_it_is_no_part_of_what_a_plan_came_from(tmp_path: Path) -> None:
    plain = load(GOOD / "plain", ENVIRONMENT)
    waived = made(tmp_path, date.today())
    (tmp_path / "waivers.yml").unlink()
    assert waived.waivers
    assert waived.sources == load(tmp_path, ENVIRONMENT).sources != plain.sources


def test_one_may_last_a_year_and_may_be_over(tmp_path: Path) -> None:
    today = date.today()
    assert len(made(tmp_path, today + timedelta(days=366), today - timedelta(days=4000)).waivers) == 2
    with pytest.raises(InventoryError, match="until: more than 366 days ahead"):
        made(tmp_path, today + timedelta(days=368))  # a midnight may pass between


@pytest.mark.parametrize("until", ["2026-11-30T18:00:00", "1767225600", "true", "", "[2026-11-30]"])
def test_a_day_is_a_day(until: str, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"until: expected a date \(2026-12-31\), found "):
        made(tmp_path, until)


def test_a_day_that_there_is_not_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as told:
        made(tmp_path, "2026-11-31")
    assert [problem.hint for problem in told.value.problems] == [
        "there is no such day or time; if it is to be a text, write it in quotes"
    ]


@pytest.mark.parametrize(
    ("resource", "id", "matches"),
    [
        ("service/Spooler", "service/spooler", True),
        ("SERVICE/*", "service/Spooler", True),
        ("*/*", "registry_value/HKLM\\Software\\OP Port", True),
        ("registry_value/hklm\\software\\op *", "registry_value/HKLM\\Software\\OP Port", True),
        ("file/D:\\OP\\*", "file/D:\\OP\\a\\b.ini", True),
        ("service/Spool", "service/Spooler", False),
        ("service/*", "local_user/service", False),
    ],
)
def test_which_resources_it_is_about(resource: str, id: str, matches: bool, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "waivers.yml").write_text(
        f"waivers:\n  - {{ resource: '{resource}', reason: x, by: anna, until: {date.today()} }}\n"
    )
    (waiver,) = load(tmp_path, ENVIRONMENT).waivers
    assert waiver.matches(id) is matches
