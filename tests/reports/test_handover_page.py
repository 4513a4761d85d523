"""The handover as a browser shows it: it needs nothing beside itself, and it can be read by anybody, anywhere, and printed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import runs
from browser import Shown, accessible, needs_browser, shown, sideways

from cases import SERVER
from opdeploy.model import Change
from opdeploy.reports.handover import as_html, handover
from opdeploy.resources.base import Principal
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.resources.firewall_rule import FirewallRule
from opdeploy.resources.manual_step import ManualStep
from opdeploy.resources.user_right import UserRight
from opdeploy.results import HostResult, Item

pytestmark = [pytest.mark.slow, needs_browser]

MARKUP = '<img src="http://evil.example/x.png" onerror="document.title=1"><b>bold</b>'
LONG = "D:\\" + "a-folder-with-quite-a-name\\" * 12 + "and" * 40
MILLIMETRE = 96 / 25.4  # in CSS' pixels


def items() -> Iterator[Item]:
    support = Principal(".\\op-support", "S-1-5-21-1-2-3-1002")
    step = ManualStep(id="look", title=MARKUP, who="the practice's IT", how="First.\nThen.", why=MARKUP)
    yield Item(Change(step, None, "would_change", reason=MARKUP))
    yield Item(Change(DefenderExclusion(type="path", value=LONG), None, "would_change", "create"))
    yield Item(Change(UserRight(right="SeBatchLogonRight", principals=(support,)), None, "unknown", reason="access denied"))
    for number in range(60):
        yield Item(runs.in_sync(f"Service{number}", start_mode="manual"))
    ports = FirewallRule(
        name="OP-In", direction="inbound", action="allow", protocol="TCP", local_ports=["3050"], remote_addresses=["10.0.0.0/8"]
    )  # fmt: skip
    yield Item(Change(ports, ports, "in_sync", roles=("firewall",)))
    yield Item(runs.service("Spooler", start_mode=("manual", "disabled")))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("page")
    hosts = [HostResult("db1", tuple(items()), SERVER), HostResult("ts1", error="no answer on port 5986")]
    html = as_html(handover("Elm Street & Sons", "2026-11-22", "practices/elm", hosts))
    (folder / "handover.html").write_text(html, encoding="utf-8")
    with shown(folder / "handover.html", folder / "profile") as opened:
        yield opened


def test_it_asks_for_nothing_but_itself(page: Shown) -> None:
    opened = page.anew()
    assert set(page.asked) == {page.file.as_uri()}
    assert page.complaints == []
    assert opened.locator("script, link, img, iframe").count() == 0


def test_what_a_value_says_is_text(page: Shown) -> None:
    opened = page.anew()
    assert opened.title() == "Handover: Elm Street & Sons, 2026-11-22"
    assert opened.locator("section[aria-labelledby=steps] tbody th").inner_text() == f"{MARKUP}\nlook"
    assert opened.locator("section[aria-labelledby=steps] tbody td").all_inner_texts() == [
        "db1", "the practice's IT", "First.\nThen.", MARKUP, f"open: {MARKUP}",
    ]  # fmt: skip


def test_every_table_is_led_to_and_says_what_it_is(page: Shown) -> None:
    opened = page.anew()
    leads = opened.locator("nav a").evaluate_all("links => links.map(link => link.hash.slice(1))")
    assert leads == opened.locator("h2").evaluate_all("titles => titles.map(title => title.id)")
    tables = opened.locator("table").count()
    assert tables > 5
    assert tables == opened.locator("table > caption").count() == opened.locator("thead").count()
    assert opened.locator("thead th:not([scope=col]), tbody th:not([scope=row]), tbody tr:not(:has(th))").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_anybody_can_read_it(page: Shown, scheme: str, width: int) -> None:
    opened = page.anew(width=width)
    opened.emulate_media(color_scheme=scheme)
    assert accessible(opened) >= {"color-contrast", "html-has-lang", "document-title", "region", "th-has-data-cells"}


def test_it_is_dark_where_that_is_asked_for(page: Shown) -> None:
    opened = page.anew()
    light = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.emulate_media(color_scheme="dark")
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", dark))) < 64


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_only_a_table_is_ever_scrolled_sideways(page: Shown, width: int) -> None:
    assert sideways(page.anew(width=width)) <= 0


def test_the_keyboard_gets_past_the_contents_at_once(page: Shown) -> None:
    opened = page.anew()
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "Skip to the content"
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "main"


def test_it_is_printed_on_a4(page: Shown) -> None:
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", page.anew().pdf(prefer_css_page_size=True))
    assert len(boxes) > 1
    sizes = {(round(float(width) / 72 * 25.4), round(float(height) / 72 * 25.4)) for width, height in boxes}
    assert sizes == {(297, 210)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_on_paper_and_paper_is_white(page: Shown, scheme: str) -> None:
    margins = 2 * 12
    opened = page.anew(width=int((297 - margins) * MILLIMETRE))
    opened.emulate_media(media="print", color_scheme=scheme)
    assert sideways(opened) <= 0
    widths = "tables => tables.map(table => table.getBoundingClientRect().right - window.innerWidth)"
    assert max(opened.locator("table").evaluate_all(widths)) <= 0
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.locator("nav").is_hidden()
