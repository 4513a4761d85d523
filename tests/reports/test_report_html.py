"""The HTML report without a browser: what it claims, what it holds back, and that nothing a host says becomes markup."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import reported
import runs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.approvals import sign
from opdeploy.cli.plan import command as plan
from opdeploy.reports.csv import COLUMNS
from opdeploy.reports.document import Report, as_json, report
from opdeploy.reports.plan_file import plan_document
from opdeploy.reports.report_html import as_html, facts, filters, sent
from opdeploy.reports.text import ABIDE, SIGNS
from opdeploy.results import Item, Run

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
PAGE = Path(__file__).parents[2] / "docs/reports.md"
ALL = {"plan": runs.FLEET, "drift": reported.DRIFT, "apply": reported.APPLIED}


class Parsed(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("run", ALL.values(), ids=ALL)
def test_no_secret_and_nothing_but_ascii(run: Run) -> None:
    html = as_html(report(run))
    assert "(secret)" in html
    assert runs.PASSWORD not in html
    assert html.isascii()


@pytest.mark.parametrize("run", ALL.values(), ids=ALL)
def test_the_policy_names_the_very_script_and_nothing_is_inline_besides(run: Run) -> None:
    html = as_html(report(run))
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in html
    assert not {name for name in Parsed(html).attributes if name.startswith("on") or name == "style"}


def test_a_value_stands_there_once() -> None:
    value = "a value like no other"
    html = as_html(report(runs.run(runs.host("db1", Item(runs.service("Spooler", display_name=("x", value)))))))
    assert html.count(value) == 1


def test_that_nothing_was_written_is_said_only_where_it_is_known() -> None:
    assert facts(report(reported.DRIFT))["sent"] == "reads to 2 of 3 servers, nothing that writes"
    assert facts(report(reported.APPLIED))["sent"] == "reads to 2 of 2 servers, writes to 1"
    assert facts(report(runs.FLEET))["sent"] == "not recorded"


def test_approvals_are_called_verified_only_where_they_were() -> None:
    assert "verified before anything was applied" in as_html(report(reported.APPLIED))
    plan = plan_document(runs.FLEET, bytes(32))
    signed = sign(KEY, plan.digest, by="anna", note="read it", at=NOW, expires=NOW + timedelta(days=7))
    html = as_html(plan.model_copy(update={"approvals": [signed]}))
    assert "not verified here" in html
    assert "verified before" not in html
    assert signed.told.key in html
    assert plan.digest in html


def test_what_was_sent_stands_once_for_all_that_were_sent_the_same() -> None:
    wrote, read = sent(report(reported.APPLIED))
    assert (wrote.hosts, wrote.told) == (["db2.example"], "2 kinds of read, 2 kinds of write")
    assert (read.hosts, read.told) == (["backup1.example"], "2 kinds of read, nothing that writes")
    assert read.lines == [f"agent {reported.EVIDENCE.agents[0]}", *(f"read {one}" for one in reported.READS)]
    same = runs.run(*(replace(runs.IN_SYNC, name=name, evidence=reported.EVIDENCE) for name in ("a", "b")))
    assert [one.hosts for one in sent(report(same))] == [["a", "b"]]


def test_only_what_the_run_has_can_be_filtered_by() -> None:
    assert list(filters(report(runs.FLEET))) == ["verdict", "role", "host", "kind"]
    assert list(filters(report(reported.DRIFT))) == ["verdict", "drift", "role", "host", "kind"]
    assert filters(report(reported.APPLIED))["outcome"] == {
        "applied": "applied", "failed": "failed", "refused": "refused", "not_reached": "not reached",
    }  # fmt: skip


def test_what_is_only_counted_is_said_to_be() -> None:
    document = report(runs.run(runs.PLANNED))
    host = document.hosts[0]
    kept = [one for one in host.resources if one.verdict != "in_sync"]
    short = document.model_copy(update={"hosts": [host.model_copy(update={"resources": kept})]})
    assert "2 more, in sync or not applicable, are not listed" in as_html(short)
    assert "are not listed" not in as_html(document)


WORDS = {"schema", "command", "status", "verdict", "action", "outcome", "kind", "decision", "state", "policy"}
TIMES = {"created_at", "first_seen", "last_seen"}


@pytest.mark.parametrize("run", [reported.DRIFT, reported.APPLIED], ids=["drift", "apply"])
@settings(max_examples=50, deadline=None)
@given(said=st.text(min_size=1))
def test_whatever_is_said_anywhere_is_text(run: Run, said: str) -> None:
    page, usual = Parsed(_saying(said, run)), Parsed(_saying("x", run))
    assert [tag for tag in page.tags if tag != "br"] == [tag for tag in usual.tags if tag != "br"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.text)


def _saying(said: str, run: Run) -> str:
    return as_html(Report.model_validate_json(json.dumps(_said(said, as_json(report(run))))))


def _said(said: str, value: Any, name: str = "") -> Any:
    """A document in which every text that is no word of ours is this one."""
    if isinstance(value, dict):
        return {name: _said(said, item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_said(said, item, name) for item in value]
    return said if isinstance(value, str) and value and name not in WORDS | TIMES else value


def test_the_page_on_reports_names_every_format_column_filter_and_sign() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (forms,) = [option.type.choices for option in plan.params if option.name == "form"]
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    assert set(forms) == rows
    assert {f"`{column}`" for column in COLUMNS} <= set(re.findall(r"`\w+`", page.partition("## CSV")[2]))
    assert [
        name for name in [*filters(report(reported.DRIFT)), "outcome"] if name not in page.partition("Filters are")[2]
    ] == []
    assert [sign for sign in {*SIGNS.values(), ABIDE["unknown"]} if f"`{sign}`" not in page] == []
