"""Which practice a run store's records are of: another practice's host of the same name is refused before it is spoken to."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import past
import pytest
import runs
from command_line import Done, opdeploy
from labs import Box, box
from roles_at_hand import inventory

from opdeploy import notify
from opdeploy.lab.windows import servers
from opdeploy.results import Practice
from opdeploy.scheduling import crontab
from opdeploy.store import Store, database, practices
from opdeploy.store.database import MIGRATIONS, NAME

STEP = {"id": "activate", "title": "Activate Windows", "who": "practice IT", "how": "slui 4", "why": "no key here"}
COMMANDS = [
    ("plan",),
    ("apply", "--yes"),
    ("remove", "--all-roles"),
    ("remove", "--all-roles", "--apply", "--yes"),
    ("drift", "check", "--no-notify"),
    ("step", "list"),
    ("step", "sign", "activate", "--by", "anna", "--note", "done"),
    ("step", "withdraw", "activate"),
    ("handover", "--out", "no.html"),
    ("access", "report", "db1", "--account", "op-support"),
    ("snapshot", "take", "db1", "--out", "snapshots"),
]


@dataclass
class Desk:
    """Somebody with several practices, whose only host is called db1 in each, and one run store."""

    folder: Path
    server: Box

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def practice(self, folder: str, name: str = "") -> Path:
        reached = {"ansible_host": "127.0.0.1", "ansible_port": self.server.server.port, "ansible_winrm_scheme": "http"}
        named = {"opdeploy_practice": name} if name else {}
        return inventory(self.folder / folder, {"db1": {**reached, **named, "resources": {"manual_step": [STEP]}}})

    def run(self, *arguments: str, store: bool = True) -> Done:
        return opdeploy(*arguments, *(("--store", str(self.store)) if store else ()), store=self.store)

    def plan(self, inventory: Path) -> int:
        return self.run("plan", "-i", str(inventory)).code

    def kept(self) -> list[str]:
        """All that stands in the store."""
        with closing(sqlite3.connect(self.store / NAME)) as db:
            return list(db.iterdump())

    def ask(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.store / NAME)) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("OP_ONE", servers.PASSWORD)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    with box(servers.bare(admin="installer", name="DB1")) as server:
        yield Desk(tmp_path, server)


# ---------------------------------------------------------------- another practice


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_another_practices_host_of_the_same_name_is_not_touched(desk: Desk, command: tuple[str, ...]) -> None:
    ours, others = desk.practice("elm"), desk.practice("oak")
    assert desk.plan(ours) == 0
    kept, heard, log = desk.kept(), list(desk.server.heard), len(desk.server.server.log)
    assert heard
    done = desk.run(*command, "-i", str(others))
    assert (done.code, done.out) == (64, "")
    assert f"error: {desk.store} has records of db1 of another practice, {ours}: " in done.err
    assert "--store DIR\n" in done.err
    assert f"opdeploy store moved {ours} -i {others}\n" in done.err
    assert (desk.kept(), desk.server.heard, len(desk.server.server.log)) == (kept, heard, log)
    assert desk.plan(ours) == 0


def test_no_night_is_scheduled_that_would_be_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crontab, "install", pytest.fail)
    desk.plan(desk.practice("elm"))
    (desk.folder / "password").write_text(servers.PASSWORD)
    others = desk.practice("oak")
    text = (others / "hosts.yml").read_text()
    (others / "hosts.yml").write_text(text.replace("from_env: OP_ONE", "from_file: ../password"))
    done = desk.run("drift", "schedule", "install", "--cron", "-i", str(others))
    assert (done.code, f"of another practice, {desk.folder / 'elm'}" in done.err) == (64, True), done.err


def test_a_limit_is_no_way_around_it(desk: Desk) -> None:
    desk.plan(desk.practice("elm"))
    others = desk.practice("oak")
    text = (others / "hosts.yml").read_text()
    (others / "hosts.yml").write_text(text.replace("      hosts:\n", "      hosts:\n        db2: {ansible_host: 127.0.0.1}\n"))
    assert desk.run("plan", "-i", str(others), "--limit", "db2").code == 64


def test_a_practice_whose_hosts_are_all_called_otherwise_shares_the_store(desk: Desk) -> None:
    desk.plan(desk.practice("elm"))
    others = desk.practice("oak")
    text = (others / "hosts.yml").read_text()
    (others / "hosts.yml").write_text(text.replace("db1:", "db7:"))
    assert desk.plan(others) == 0
    assert {row[0] for row in desk.ask("SELECT host FROM practices")} == {"db1", "db7"}


def test_a_step_that_was_signed_before_any_plan_is_one_practices_too(desk: Desk) -> None:
    sign = ("step", "sign", "activate", "--by", "anna", "--note", "done")
    assert desk.run(*sign, "-i", str(desk.practice("elm"))).code == 0
    assert desk.run("step", "list", "-i", str(desk.practice("oak"))).code == 64


def test_a_run_that_was_killed_has_its_hosts_too(desk: Desk) -> None:
    with closing(Store.open(desk.store)) as store:
        recorder = store.begin(runs.run(command="apply", practice=Practice("/srv/elm")))
        recorder.before("DB1", past.ITEM)
    assert desk.plan(desk.practice("oak")) == 64


def test_what_is_pruned_is_still_one_practices(desk: Desk) -> None:
    desk.plan(desk.practice("elm"))
    with closing(Store.open(desk.store)) as store, store.writing() as db:
        db.execute("UPDATE runs SET created_at = '2020-01-01T00:00:00Z'")
    desk.run("store", "prune", "--apply")
    assert desk.ask("SELECT count(*) FROM runs") == [(0,)]
    assert desk.plan(desk.practice("oak")) == 64


def test_the_night_tells_people_that_it_was_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(notify, "send", lambda message, *_: told.append(message) or 0)
    desk.plan(desk.practice("elm"))
    done = desk.run("drift", "check", "-i", str(desk.practice("oak")))
    assert done.code == 64
    assert [f" practice, {desk.folder / 'elm'}" in str(message) for message in told] == [True]


def test_records_of_an_earlier_version_refuse_nobody(desk: Desk) -> None:
    Store.open(desk.store).close()
    (desk.store / NAME).unlink()
    with closing(sqlite3.connect(desk.store / NAME)) as old:
        old.executescript("".join(MIGRATIONS[:6]))
        old.execute(
            "INSERT INTO runs VALUES ('1', 'plan', '2026', 'anna', '0', 'x', 'y', '2026', 0, '', '[]', NULL, NULL, '{}')"
        )
        old.execute("INSERT INTO desired VALUES ('d', '{}')")
        old.execute("INSERT INTO hosts VALUES ('1', 'db1', 'in_sync', '', 'null', 'd', '{}', '{}')")
        old.executescript(f"PRAGMA application_id = {database.APPLICATION}; PRAGMA user_version = 6;")
    assert desk.plan(desk.practice("elm")) == 0
    assert desk.plan(desk.practice("oak")) == 64
    assert desk.ask("SELECT folder, practice FROM runs ORDER BY rowid") == [("", ""), (str(desk.folder / "elm"), "")]


# ---------------------------------------------------------------- the same practice


def test_a_checkout_elsewhere_is_the_practice_of_its_name(desk: Desk) -> None:
    assert desk.plan(desk.practice("elm", "elm-street")) == 0
    assert desk.plan(desk.practice("ci/build-17", "elm-street")) == 0
    assert desk.plan(desk.practice("ci/build-18", "oak-lane")) == 64
    assert desk.plan(desk.practice("ci/build-19")) == 64


def test_one_folder_for_several_checkouts_does_not_make_them_one(desk: Desk) -> None:
    assert desk.plan(desk.practice("ci", "elm-street")) == 0
    assert desk.plan(desk.practice("ci", "oak-lane")) == 64


def test_one_that_is_given_a_name_is_still_itself_and_then_known_by_it(desk: Desk) -> None:
    assert desk.plan(desk.practice("elm")) == 0
    assert desk.plan(desk.practice("ci", "elm-street")) == 64
    assert desk.plan(desk.practice("elm", "elm-street")) == 0
    assert desk.plan(desk.practice("ci", "elm-street")) == 0


def test_a_link_to_the_folder_is_the_folder(desk: Desk) -> None:
    desk.plan(desk.practice("elm"))
    (desk.folder / "link").symlink_to("elm")
    assert desk.plan(desk.folder / "link") == 0


# ---------------------------------------------------------------- moved


def test_a_moved_inventory_takes_its_records_with_it(desk: Desk) -> None:
    old = desk.practice("elm")
    desk.plan(old)
    desk.run("step", "sign", "activate", "--by", "anna", "--note", "done", "-i", str(old))
    desk.plan(old)
    new = desk.folder / "elm-street"
    shutil.move(old, new)
    assert desk.plan(new) == 64
    done = desk.run("store", "moved", "elm", "-i", str(new))
    assert (done.code, done.err) == (0, f"2 runs of elm are of {new} now\n")
    assert desk.plan(new) == 0
    assert "signed off by anna" in desk.run("step", "list", "-i", str(new)).out
    assert desk.plan(desk.practice("elm")) == 64


def test_a_renamed_practice_is_moved_by_its_name(desk: Desk) -> None:
    desk.plan(desk.practice("elm", "elm"))
    desk.plan(desk.practice("ci", "elm"))
    renamed = desk.practice("elm", "elm-street")
    assert desk.plan(renamed) == 64
    assert desk.run("store", "moved", "elm", "-i", str(renamed)).err == "2 runs of elm are of elm-street now\n"
    assert desk.plan(renamed) == 0
    assert desk.plan(desk.practice("ci", "elm")) == 64


@pytest.mark.parametrize("old", ["oak", "", "/"])
def test_only_what_is_known_can_have_been_moved(desk: Desk, old: str) -> None:
    with closing(Store.open(desk.store)) as store:
        past.planned(store, "2026-11-01")  # of an earlier version
    ours = desk.practice("elm")
    desk.plan(ours)
    kept = desk.kept()
    done = desk.run("store", "moved", old, "-i", str(ours))
    assert (done.code, done.out, f"there are: {ours}\n" in done.err) == (64, "", True)
    assert desk.kept() == kept


def test_where_no_store_is_nothing_was_moved_and_none_is_made(desk: Desk) -> None:
    assert desk.run("store", "moved", "elm", "-i", str(desk.practice("oak"))).code == 64
    assert not desk.store.exists()


# ---------------------------------------------------------------- history


def test_a_history_of_several_practices_says_which(desk: Desk) -> None:
    with closing(Store.open(desk.store)) as store:
        past.planned(store, "2026-11-01", runs.host("db1"), practice=Practice("/srv/elm", "elm-street"))
        past.planned(store, "2026-11-02", runs.host("db1"))
    assert [line.split("  ")[4] for line in desk.run("history", "list").out.splitlines()] == ["inventories/lab"] * 2
    with closing(Store.open(desk.store)) as store:
        past.planned(store, "2026-11-03", runs.host("db2"), practice=Practice("/srv/oak"))
        assert practices.known(store) == ["/srv/oak", "elm-street"]
    named = [line.split("  ")[4].strip() for line in desk.run("history", "list").out.splitlines()]
    assert named == ["/srv/oak", "inventories/lab", "elm-street"]


# ---------------------------------------------------------------- this machine's run store


@pytest.fixture
def pinned(desk: Desk) -> Path:
    """Where this machine has its records."""
    config = desk.folder / "config/opdeploy/config.yml"
    config.parent.mkdir(parents=True)
    config.write_text("store: official\n")
    return config.parent / "official"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_on_an_inventory_leaves_the_machines_store(desk: Desk, pinned: Path, command: tuple[str, ...]) -> None:
    done = desk.run(*command, "-i", str(desk.practice("elm")))
    assert (done.code, done.out, desk.server.heard) == (64, "", [])
    assert f"error: --store {desk.store}: this machine's run store is {pinned}: {pinned.parent / 'config.yml'}\n" in done.err
    assert not desk.store.exists()


def test_the_machines_store_is_the_default(desk: Desk, pinned: Path) -> None:
    ours = str(desk.practice("elm"))
    assert desk.run("plan", "-i", ours, store=False).code == 0
    assert opdeploy("plan", "-i", ours, "--store", str(pinned)).code == 0
    assert opdeploy("history", "list").out.count("\n") == 2
    assert opdeploy("store", "check").out.startswith(f"{pinned / NAME}  ")
    assert not (desk.folder / "state").exists()


@pytest.mark.parametrize("command", [one for one in COMMANDS if one[0] in ("plan", "apply", "remove")], ids=" ".join)
def test_who_works_by_day_need_not_read_whom_the_night_tells(desk: Desk, pinned: Path, command: tuple[str, ...]) -> None:
    with (pinned.parent / "config.yml").open("a") as config:
        config.write("notify:\n- from_file: for-the-night-alone\n")
    assert desk.run(*command, "-i", str(desk.practice("elm")), store=False).code == 0
    assert pinned.is_dir()


def test_a_configuration_with_a_mistake_does_not_pass_for_none(desk: Desk, pinned: Path) -> None:
    (pinned.parent / "config.yml").write_text("stroe: official\n")
    done = desk.run("plan", "-i", str(desk.practice("elm")))
    assert (done.code, "stroe: no such setting\n    did you mean store?" in done.err) == (64, True)


def test_other_stores_may_be_looked_at(desk: Desk, pinned: Path) -> None:
    with closing(Store.open(desk.store)) as store:
        past.planned(store, "2026-11-01")
    assert desk.run("history", "list").code == 0
    assert desk.run("store", "check").code == 0
