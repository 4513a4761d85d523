"""Messages that really arrive: at an HTTP server and a mail server on loopback; and what happens when they don't."""

from __future__ import annotations

import io
import logging
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import runs
from postbox import TOKEN, Postbox, mail_server, postbox

from opdeploy import notify
from opdeploy.findings import Message
from opdeploy.model import Secret
from opdeploy.results import HostResult, Item
from opdeploy.store import Store
from opdeploy.store.database import NAME

PAGE = Path(__file__).parents[2] / "docs/notifications.md"
SPOOLER = Item(runs.service("Spooler", start_mode=("manual", "disabled")))
NEWS = Message("opdeploy: 1 new or changed (lab)", ("- db1: service/a_b_c *x* <b>",), "look there", "warning")
DB1, CLEAN = runs.host("db1", SPOOLER), runs.host("db1", Item(runs.in_sync("Spooler")))
WRONG = Secret(f"nonsense://{TOKEN}", "env:NOTIFY")


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as made:
        yield made


class Check:
    """Nights of one inventory, in one store; `said` is what stderr got."""

    def __init__(self, store: Store, *urls: Secret) -> None:
        self.store, self.urls = store, urls
        self.said: list[str] = []
        self.nights = 0

    def __call__(self, *hosts: HostResult, inventory: str = "inventories/lab", narrowed: tuple[str, ...] = ()) -> bool:
        self.nights += 1
        run = replace(runs.run(*hosts, command="drift"), run_id=f"run-{self.nights}", inventory=inventory)
        self.store.record(run)
        return notify.told(run, self.store, self.urls, self.said.append, narrowed)


@pytest.fixture
def check(store: Store, box: Postbox) -> Check:
    return Check(store, box.secret)


def test_a_message_arrives_with_title_text_and_kind(check: Check, box: Postbox) -> None:
    assert check(DB1)
    (arrived,) = box.arrived
    assert (arrived["title"], arrived["type"]) == ("opdeploy: 1 new or changed (lab)", "warning")
    assert arrived["message"].splitlines() == [
        "new or changed:", "- db1: service/Spooler (differs): start_mode", "as before: 0",
        "exit code 2; opdeploy history show run-1, on admin-pc",
    ]  # fmt: skip
    assert check.said == []


def test_only_a_change_is_told_over_the_nights(check: Check, box: Postbox) -> None:
    nights = [CLEAN, DB1, DB1, DB1, CLEAN, CLEAN, DB1]
    told = [(check(night), len(box.taken()))[1] for night in nights]
    assert told == [0, 1, 0, 0, 1, 0, 1]


def test_a_host_that_cannot_be_read_is_told_every_night(check: Check, box: Postbox) -> None:
    down = runs.host("db1", machine=None, error="no answer")
    told = [(check(night), len(box.taken()))[1] for night in (DB1, down, down, DB1, DB1)]
    assert told == [1, 1, 1, 1, 0]


def test_what_did_not_arrive_is_said_and_told_again_the_next_night(check: Check, box: Postbox) -> None:
    box.status = 503
    assert not check(DB1)
    assert check.said == ["error: nobody was told at address 1 (file:postbox): the service answered with HTTP status 503"]
    box.status = 200
    assert check(DB1)
    assert "Spooler" in box.taken()[0]["message"]
    assert check(DB1)
    assert box.taken() == []


def test_a_server_that_is_down(store: Store) -> None:
    with postbox() as gone:
        pass
    check = Check(store, gone.secret)
    assert not check(DB1)
    assert check.said == [
        "error: nobody was told at address 1 (file:postbox): the service can't be reached, or did not take it"
    ]


def test_a_redirect_is_no_delivery(check: Check, box: Postbox) -> None:
    """A POST that is sent elsewhere becomes a GET, and whoever answers that has read nothing."""
    box.status = 302
    assert not check(DB1)
    assert "HTTP status 302" in check.said[0]


def test_of_several_the_one_that_failed_is_named_and_the_others_are_told(store: Store, box: Postbox) -> None:
    check = Check(store, WRONG, box.secret)
    assert not check(DB1)
    assert check.said == [
        "error: nobody was told at address 1 (env:NOTIFY): "
        "it is no address that apprise knows; docs/notifications.md has examples"
    ]
    assert len(box.arrived) == 1


def test_a_check_of_some_hosts_is_not_taken_for_the_whole(check: Check, box: Postbox) -> None:
    other = runs.host("ts1", SPOOLER)
    told = []
    for hosts, narrowed in (((DB1, other), ()), ((other,), ("--limit ts1",)), ((other,), ("--limit ts1",)), ((DB1, other), ())):
        assert check(*hosts, narrowed=narrowed)
        told.append([len(said["message"].splitlines()) for said in box.taken()])
    assert told == [[5], [4], [], []]


def test_two_practices_do_not_answer_for_each_other(check: Check, box: Postbox) -> None:
    assert check(DB1)
    assert check(CLEAN, inventory="inventories/elm-street")
    assert check(DB1)
    assert len(box.arrived) == 1


def test_an_inventory_is_the_same_one_however_its_folder_is_written(check: Check, box: Postbox) -> None:
    for name in ("inventories/lab", "inventories/../inventories/lab", str(Path("inventories/lab").absolute())):
        assert check(DB1, inventory=name)
    assert len(box.arrived) == 1


def test_a_clock_that_was_ahead_for_a_night_does_not_have_every_later_one_told_again(
    check: Check, box: Postbox, store: Store
) -> None:
    """What people were last told is what they were told last, whatever the clock said."""
    assert check(DB1)
    with closing(sqlite3.connect(store.folder / NAME)) as db, db:
        db.execute("UPDATE runs SET told_at = '2099-01-01T00:00:00.000Z'")
    assert check(CLEAN)
    assert check(CLEAN)
    assert len(box.taken()) == 2


def test_nobody_to_tell_is_nothing_to_remember(store: Store, box: Postbox) -> None:
    """Who is named later hears everything."""
    assert Check(store)(DB1)
    later = Check(store, box.secret)
    later.nights = 1
    assert later(DB1)
    assert len(box.arrived) == 1


def test_a_mail_arrives(capfd: pytest.CaptureFixture[str]) -> None:
    with mail_server() as (port, mails):
        url = Secret(f"mailto://127.0.0.1:{port}?from=opdeploy@example.com&to=it@example.com", "file:mail")
        assert notify.send(NEWS, [url], print)
    (mail,) = mails
    assert mail["Subject"] == NEWS.title
    assert mail["To"] == "it@example.com"
    body = mail.get_body(("plain",))
    assert body
    assert body.get_content().splitlines()[:2] == ["- db1: service/a_b_c *x* <b>", "look there"]
    assert capfd.readouterr() == ("", "")


def test_the_text_is_cut_to_what_the_service_takes(box: Postbox) -> None:
    """30,000 lines, of which apprise says that JSON takes 32,768 characters."""
    long = Message("opdeploy", tuple(f"- db1: service/S{number} (differs)" for number in range(30_000)), "look there", "info")
    assert notify.send(long, [box.secret], print)
    text = box.arrived[0]["message"]
    assert 20_000 < len(text) < 32_768
    *shown, left, closing = text.splitlines()
    assert (left, closing) == (f"… {30_000 - len(shown)} more lines", "look there")


@pytest.mark.parametrize("url", re.findall(r"`([a-z]+://[^`…]+)`", PAGE.read_text()))
def test_an_address_of_the_docs_is_one_that_apprise_reads(url: str) -> None:
    from apprise import Apprise

    assert Apprise.instantiate(url.replace("HOST", "prod-1.westeurope.logic.azure.com:443"))


def test_the_docs_name_an_address_for_each_way() -> None:
    assert len(re.findall(r"^\| .*`[a-z]+://", PAGE.read_text(), re.MULTILINE)) == 5


def test_where_markdown_is_read_every_line_is_a_paragraph_and_names_stay_as_they_are(box: Postbox) -> None:
    """As in Teams, which joins lines that no empty one parts."""
    assert notify.send(NEWS, [Secret(f"{box.url}?format=markdown", "file:postbox")], print)
    text = box.arrived[0]["message"]
    assert re.sub(r"\\(.)", r"\1", text) == "- db1: service/a_b_c *x* <b>\n\nlook there"
    assert r"a\_b\_c \*x\*" in text


# ---------------------------------------------------------------- what nobody may read


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that a program which logs everything would write down."""
    kept, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(kept), root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:1/{}", "json://user:{}@127.0.0.1:1/", "nonsense://{}", "slack://{}/{}/{}", "workflows://127.0.0.1:1/{}/{}",
        "mailto://user:{}@127.0.0.1:1?to=a@example.com", "jsons://127.0.0.1:1/?+Authorization={}", "{}", "json://[{}", "",
    ],
)  # fmt: skip
def test_no_address_is_said_whatever_is_wrong_with_it(
    url: str, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str], logged: io.StringIO
) -> None:
    check = Check(store, Secret(url.replace("{}", TOKEN), "file:address"))
    assert not check(DB1)
    assert capfd.readouterr() == ("", "")
    assert "address 1 (file:address): " in check.said[0]
    assert TOKEN not in check.said[0] + logged.getvalue()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_no_address_is_said_where_all_is_well(box: Postbox, logged: io.StringIO, capfd: pytest.CaptureFixture[str]) -> None:
    assert notify.send(NEWS, [box.secret], print)
    assert TOKEN not in logged.getvalue()
    assert capfd.readouterr() == ("", "")


def test_a_plugin_that_breaks_is_said_without_its_words(
    box: Postbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from apprise import Apprise

    def broken(*args: object, **given: object) -> None:
        raise RuntimeError(box.url)

    monkeypatch.setattr(Apprise, "notify", broken)
    said: list[str] = []
    assert not notify.send(NEWS, [box.secret], said.append)
    assert said == ["error: nobody was told at address 1 (file:postbox): apprise broke with RuntimeError"]
    assert capfd.readouterr() == ("", "")


def test_who_tells_nobody_does_not_pay_for_apprise() -> None:
    code = "import sys, opdeploy.cli.drift, opdeploy.notify; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
