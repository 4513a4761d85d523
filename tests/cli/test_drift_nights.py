"""Nights of drift checks through the real command: whose change, since when, a waiver that ends, as docs/drift.md shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clock import Clock, stopped
from command_line import opdeploy
from night import PASSWORD, Night, night_in

from opdeploy.engine import fleet
from opdeploy.lab import tampering
from opdeploy.lab.windows import servers

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "drift.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^<!-- (?P<name>[\w ]+) -->\n```\w*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ON_PAGE = {found["name"]: found["text"] for found in SHOWN.finditer(PAGE)}


@dataclass
class Nights:
    night: Night

    def said(self, *arguments: str, day: int) -> tuple[int, str]:
        """A command on a day of November, its exit code and what it printed above the agent's digest."""
        Clock.day = day
        store = self.night.folder / "store"
        done = opdeploy(*arguments, "-i", str(self.night.write()), "--store", str(store), store=store)
        return done.code, done.out.partition("\nsent to the hosts")[0]

    def found(self, day: int, *more: str) -> tuple[int, dict[str, Any]]:
        """What a check says of each difference."""
        code, out = self.said("drift", "check", "--format", "json", *more, day=day)
        (host,) = json.loads(out)["hosts"]
        return code, {one["id"]: one["drift"] for one in host["resources"] if one["drift"]}

    def apply(self, day: int) -> None:
        code, out = self.said("apply", "--yes", day=day)
        assert code == 0, out

    def tamper(self, *names: str) -> None:
        assert len(list(tampering.tamper(self.night.boxes["db1"].state, names))) == len(names)

    def waive(self, text: str) -> None:
        (self.night.write() / "waivers.yml").write_text(text, encoding="utf-8")

    @property
    def rules(self) -> dict[str, Any]:
        rules: dict[str, Any] = self.night.hosts["db1"]["firewall"]["rules"]
        return rules


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    stopped(monkeypatch, "cli.compiled", "store.database")
    monkeypatch.setenv(PASSWORD, servers.PASSWORD)
    monkeypatch.setattr(fleet, "pause", lambda seconds: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    with night_in(tmp_path) as night:
        night.box("db1")
        night.hosts["db1"] = json.loads(json.dumps(night.hosts["db1"]))  # the rules are shared by every night
        yield Nights(night)


RULE, EXTRA = "firewall_rule/OP-Firebird-In", f"firewall_rule/{tampering.UNMANAGED}"


def test_the_story_of_the_page(nights: Nights) -> None:
    nights.apply(20)
    assert nights.found(20) == (0, {})
    nights.tamper("rule")
    assert nights.said("drift", "check", day=21)[0] == nights.said("drift", "check", day=22)[0] == 2
    assert nights.said("drift", "check", day=23) == (2, ON_PAGE["third night"])
    nights.waive(ON_PAGE["waiver"])
    assert nights.said("drift", "check", day=24) == (0, ON_PAGE["waived"])
    assert nights.said("drift", "check", day=27) == (2, ON_PAGE["expired"])


def test_both_changed_at_once(nights: Nights) -> None:
    nights.apply(20)
    nights.found(21)
    nights.tamper("rule", "unmanaged-rule")
    nights.night.hosts["db1"]["firewall"]["exact"] = True
    nights.rules["OP-Firebird-In"]["local_ports"] = 3051
    nights.rules["OP-Web-In"]["local_ports"] = 8445
    code, found = nights.found(22)
    assert (code, {id: told["kind"] for id, told in found.items()}) == (
        2,
        {RULE: "corrective", "firewall_rule/OP-Web-In": "intentional", EXTRA: "corrective"},
    )
    nights.apply(22)
    nights.tamper("rule")
    assert nights.found(23)[1][RULE]["first_seen"] == "2026-11-23T12:00:00Z"


def test_what_was_never_applied(nights: Nights) -> None:
    _, found = nights.found(20)
    assert {told["kind"] for told in found.values()} == {"never_applied"}
    assert {told["first_seen"] for told in nights.found(21)[1].values()} == {"2026-11-20T12:00:00Z"}


def test_what_was_removed_is_nobodys_drift(nights: Nights) -> None:
    nights.apply(20)
    nights.found(21)
    code, out = nights.said("remove", "--all-roles", "--apply", "--yes", day=22)
    assert code == 0, out
    _, found = nights.found(23)
    assert found
    assert {(told["kind"], told["first_seen"]) for told in found.values()} == {("never_applied", "2026-11-23T12:00:00Z")}
    nights.apply(24)
    nights.tamper("rule")
    assert nights.found(25)[1][RULE]["kind"] == "corrective"


def test_a_host_that_nobody_reached_keeps_its_past(nights: Nights) -> None:
    nights.apply(20)
    nights.tamper("rule")
    nights.found(21)
    port, nights.night.hosts["db1"]["ansible_port"] = nights.night.hosts["db1"]["ansible_port"], 1
    assert nights.found(22) == (3, {})
    nights.night.hosts["db1"]["ansible_port"] = port
    told = nights.found(23)[1][RULE]
    assert (told["first_seen"], told["last_seen"]) == ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z")


def test_since_when_a_host_is_not_read_is_told_from_the_second_night_on(nights: Nights) -> None:
    up, nights.night.hosts["db1"]["ansible_port"] = nights.night.hosts["db1"]["ansible_port"], 1
    assert "not read since" not in nights.said("drift", "check", day=20)[1]
    assert "  warning: not read since 2026-11-20 (2 checks in a row)\n" in nights.said("drift", "check", day=21)[1]
    (host,) = json.loads(nights.said("drift", "check", "--format", "json", day=22)[1])["hosts"]
    assert host["warnings"] == ["not read since 2026-11-20 (3 checks in a row)"]
    nights.night.hosts["db1"]["ansible_port"] = up
    assert "not read since" not in nights.said("drift", "check", day=23)[1]


def test_a_check_of_other_roles_takes_nothing_back(nights: Nights) -> None:
    value = {"path": "SOFTWARE\\OP", "name": "Server", "type": "string", "data": "db1"}
    nights.night.hosts["db1"]["registry_values"] = {"values": [value]}
    nights.apply(20)
    nights.tamper("rule")
    nights.found(21)
    assert nights.found(22, "--role", "registry_values") == (0, {})
    assert nights.found(23)[1][RULE]["first_seen"] == "2026-11-21T12:00:00Z"


def test_a_plan_file_is_none_the_older_for_a_waiver(nights: Nights) -> None:
    plan = str(nights.night.folder / "plan.json")
    assert nights.said("plan", "--out", plan, day=20)[0] == 2
    nights.waive(ON_PAGE["waiver"])
    code, out = nights.said("apply", plan, "--yes", day=20)
    assert code == 0, out


def test_a_plan_of_last_weeks_answers_is_not_of_now(nights: Nights) -> None:
    nights.apply(20)
    assert nights.said("snapshot", "take", "db1", "--out", "snapshots", day=20)[0] == 0
    nights.tamper("rule")
    nights.found(21)
    assert nights.said("plan", "--from", "snapshots", day=22)[0] == 0
    assert nights.found(23)[1][RULE]["first_seen"] == "2026-11-21T12:00:00Z"
