"""The HTML report as a browser shows it: all that the text says, found, filtered, linked to, printed, and read by anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import reported
from browser import Shown, accessible, needs_browser, shown, sideways
from playwright.sync_api import Page
from runs import run_text

from opdeploy.rendering import printable
from opdeploy.reports.document import ReportedResource, report
from opdeploy.reports.report_html import as_html
from opdeploy.reports.text import plain

pytestmark = [pytest.mark.slow, needs_browser]

DOCUMENT = report(reported.EVERYTHING)
RESOURCES = [(host.name, one) for host in DOCUMENT.hosts for one in host.resources]
STEPS = [(host.name, one) for host in DOCUMENT.hosts for one in host.manual_steps]
ALL = len(RESOURCES) + len(STEPS)
MILLIMETRE = 96 / 25.4  # in CSS' pixels
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.html").write_text(as_html(DOCUMENT), encoding="ascii")
    with shown(folder / "report.html", folder / "profile") as opened:
        yield opened


def asked(page: Page, **filters: str) -> Page:
    for name, value in filters.items():
        field = page.locator(f"[name={name}]")
        field.fill(value) if name == "q" else field.select_option(value)
    page.evaluate(SETTLED)
    return page


def found(page: Page) -> list[tuple[str, str, str]]:
    """Host, kind and key of whatever the reader sees of resources and steps."""
    visible = """entries => entries.filter(one => one.checkVisibility()).map(one => [
        one.closest('.host').querySelector('h2').textContent, ...Array.from(one.firstElementChild.children).slice(0, 2)
        .map(part => part.textContent)])"""
    return [tuple(one) for one in page.locator("li[data-verdict]").evaluate_all(visible)]


def expected(**filters: str) -> list[tuple[str, str, str]]:
    return [
        (host, one.kind, printable(one.key)) for host, one in RESOURCES if all(_has(host, one, *it) for it in filters.items())
    ]


def _has(host: str, one: ReportedResource, name: str, value: str) -> bool:
    several = {"host": [host], "role": one.roles, "drift": [one.drift.kind] if one.drift else []}
    return value in several.get(name, [getattr(one, name, "")])


def unfolded(page: Page) -> Page:
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    return page


def read(page: Page, selector: str) -> str:
    """All that stands there; on paper, since a screen leaves out what is far below."""
    unfolded(page).emulate_media(media="print")
    return page.locator(selector).inner_text()


def status(page: Page) -> str:
    return page.get_by_role("status").inner_text()


# ---------------------------------------------------------------- what it says


def test_it_says_all_that_the_text_says(page: Shown) -> None:
    opened = page.anew()
    page_says = " ".join(read(opened, "body").split())
    text = plain(run_text(reported.EVERYTHING, verbose=True, commands=True, diff=True))
    details = [" ".join(line.split()) for line in text.splitlines() if line.startswith("      ") and "waivers.yml" not in line]
    assert len(details) > 60
    assert [line for line in details if line not in page_says] == []


def test_every_resource_stands_in_its_hosts_group(page: Shown) -> None:
    opened = unfolded(page.anew())
    there = {*expected(), *((host, "manual_step", step.id) for host, step in STEPS)}
    assert set(found(opened)) == there
    assert len(found(opened)) == ALL


def test_what_is_in_sync_is_folded_and_the_rest_is_open(page: Shown) -> None:
    folded = [one for host, one in RESOURCES if one.verdict in ("in_sync", "not_applicable")]
    assert len(found(page.anew())) == ALL - len(folded)


def test_a_host_says_what_befell_it(page: Shown) -> None:
    opened = page.anew()
    servers = opened.locator("[aria-labelledby=servers] tbody tr").all_inner_texts()
    assert [row.split("\t")[2] for row in servers] == ["with unknowns", "in sync", "unreachable", "failed", "failed"]
    ts1 = read(opened, ".host >> nth=2")
    assert "the host did not take the password" in ts1
    assert "check ansible_password in inventories/lab" in ts1
    db1 = read(opened, ".host >> nth=0")
    assert "warning: its certificate is not checked" in db1
    assert "Windows waits to be started anew: windows_update" in db1


def test_who_approved_what_is_waived_and_what_was_sent(page: Shown) -> None:
    opened = page.anew()
    assert opened.locator("[aria-labelledby=approvals] tbody tr").first.inner_text().split("\t") == [
        "ben", "approved", "2026-11-21 16:00 UTC", "2026-11-28T16:00:00Z", "read it line by line", "SHA256:abc",
    ]  # fmt: skip
    assert opened.locator("[aria-labelledby=waivers] tbody tr").last.inner_text().split("\t") == [
        "service/*", "*", "all of it", "expired", "2026-11-01", "ben", "the old alarm", "waivers.yml:10",
    ]  # fmt: skip
    evidence = opened.locator("[aria-labelledby=evidence]")
    assert evidence.locator("summary").all_inner_texts() == [
        "db1.example, backup1.example: 2 kinds of read, nothing that writes",
        "ts1.example, db3.example: nothing is known to have been sent",
        "db2.example: 2 kinds of read, 2 kinds of write",
    ]


# ---------------------------------------------------------------- search and filters


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("fireBIRDserver", {"FirebirdServerDefaultInstance"}),
        ("windows_feature", {"NET-Framework-Core"}),
        ("not applicable", {"Themes"}),
        ("dependencies rpcss", {"FirebirdServerDefaultInstance"}),
        ("db2.example disabled", {"wuauserv", "BITS"}),
        ("new printer", {"Spooler"}),
        ("whoever closes", {"take-the-disk-home", "label-the-disks"}),
        ("nothing has these words", set()),
    ],
)
def test_search(page: Shown, words: str, keys: set[str]) -> None:
    assert {key for _, _, key in found(asked(page.anew(), q=words))} == keys


FILTERS = [
    ("verdict", "would_change"), ("verdict", "unknown"), ("verdict", "not_applicable"), ("outcome", "applied"),
    ("outcome", "failed"), ("outcome", "refused"), ("outcome", "not_reached"), ("drift", "corrective"),
    ("drift", "intentional"), ("drift", "never_applied"), ("drift", "waived"), ("drift", "unknown"),
    ("role", "firebird"), ("role", "support_account"),
    ("host", "backup1.example"), ("host", "db2.example"), ("kind", "local_user"), ("kind", "service"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FILTERS)
def test_each_filter(page: Shown, name: str, value: str) -> None:
    opened = asked(page.anew(), **{name: value})
    resources = [one for one in found(opened) if one[1] != "manual_step"]
    assert resources == expected(**{name: value}) != []
    assert status(opened).startswith(f"{len(found(opened))} of {ALL} shown")


def test_every_filter_was_tried(page: Shown) -> None:
    names = page.anew().locator("select").evaluate_all("all => all.map(one => one.name)")
    assert set(names) == {name for name, _ in FILTERS}


def test_filters_hold_together(page: Shown) -> None:
    opened = asked(page.anew(), q="start_mode", host="db2.example", outcome="applied", kind="service")
    assert [key for _, _, key in found(opened)] == ["Leftover", "BITS"]
    assert status(opened) == (f"2 of {ALL} shown (Search: start_mode, Outcome: applied, Host: db2.example, Kind: service)")
    assert opened.locator(".host:visible h2").all_inner_texts() == ["db2.example"]
    assert opened.locator("[aria-labelledby=servers] tbody tr:visible").count() == 1
    (group,) = opened.locator(".host summary:visible").all_inner_texts()
    assert group.endswith("(2 shown)")


def test_a_host_that_was_not_read_is_found_by_its_name_and_its_error(page: Shown) -> None:
    for filters in ({"host": "ts1.example"}, {"q": "did not take the password"}):
        opened = asked(page.anew(), **filters)
        assert opened.locator(".host:visible h2").all_inner_texts() == ["ts1.example"]


def test_reset_shows_all_again_folded_as_before(page: Shown) -> None:
    opened = page.anew()
    before = found(opened)
    asked(opened, q="w32time", verdict="in_sync")
    assert {key for _, _, key in found(opened)} == {"W32Time"}
    opened.get_by_role("button", name="Reset").click()
    opened.evaluate(SETTLED)
    assert found(opened) == before
    assert status(opened) == f"{ALL} of {ALL} shown"
    assert opened.url == page.file.as_uri()


def test_a_link_shows_the_same(page: Shown) -> None:
    filters = {"q": "start mode & =?", "kind": "service"}
    opened = asked(page.anew(), **filters)
    assert opened.url != page.file.as_uri()
    asked(opened, q="start_mode", host="db2.example")
    link, seen = opened.url, found(opened)
    assert len(seen) == 3
    opened.goto("about:blank")
    opened.goto(link)
    opened.evaluate(SETTLED)
    assert found(opened) == seen
    assert opened.locator("[name=q]").input_value() == "start_mode"
    opened.evaluate("location.hash = 'verdict=unknown'")
    opened.evaluate(SETTLED)
    assert [one for one in found(opened) if one[1] != "manual_step"] == expected(verdict="unknown")


@pytest.mark.parametrize("fragment", ["role=no-such-role", "length=1&item=2", "q=%", "=&&=", "q=<img src=x onerror=alert(1)>"])
def test_no_link_breaks_it(page: Shown, fragment: str) -> None:
    opened = page.anew()
    opened.goto("about:blank")
    opened.goto(f"{page.file.as_uri()}#{fragment}")
    opened.evaluate(SETTLED)
    assert f"of {ALL} shown" in status(opened)
    assert page.complaints == []


def test_a_link_to_a_host_leaves_the_filters(page: Shown) -> None:
    opened = asked(page.anew(), kind="service")
    link = opened.url
    opened.get_by_role("link", name="db2.example").click()
    assert opened.evaluate("document.activeElement.textContent") == "db2.example"
    assert opened.url == link


# ---------------------------------------------------------------- for anybody, anywhere


def test_it_asks_for_nothing_and_complains_of_nothing(page: Shown) -> None:
    asked(page.anew(), q="service")
    assert set(page.asked) - {"about:blank"} == {page.file.as_uri()}
    assert page.complaints == []


def test_what_a_value_says_is_text(page: Shown) -> None:
    opened = page.anew()
    assert opened.title() == f"Drift check: {reported.MARKUP}, 2026-11-22 03:00 UTC"
    assert opened.locator("img, main b b, script:not(:last-child)").count() == 0
    host = read(opened, ".host >> nth=4")
    assert reported.MARKUP in host
    assert r"abc\u202egnp.exe" in host
    assert "\u202e" not in host


def test_the_keyboard_reaches_all_of_it(page: Shown) -> None:
    opened = page.anew()
    keys = opened.keyboard
    keys.press("Tab")
    assert focused(opened) == "Skip to the content"
    keys.press("Enter")
    tab_to(opened, "[name=q]")
    keys.type("firebird")
    tab_to(opened, "[name=verdict]")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    opened.evaluate(SETTLED)
    assert status(opened).endswith("(Search: firebird, Verdict: would change)")
    tab_to(opened, "button")
    assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    opened.evaluate(SETTLED)
    assert status(opened) == f"{ALL} of {ALL} shown"
    tab_to(opened, "details:not([open]) > summary")
    keys.press("Enter")
    assert opened.evaluate("document.activeElement.parentElement.open")
    tab_to(opened, "[aria-labelledby=evidence] details:last-child > summary")
    keys.press("Tab")
    assert opened.evaluate("document.activeElement === document.body")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent"))


def tab_to(page: Page, selector: str, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{most} times Tab do not lead to {selector}")


@pytest.mark.parametrize("filters", [{}, {"q": "service"}, {"q": "nothing has these words"}], ids=["all", "some", "none"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_anybody_can_read_it(page: Shown, width: int, scheme: str, filters: dict[str, str]) -> None:
    opened = page.anew(width=width)
    opened.emulate_media(color_scheme=scheme)
    asked(unfolded(opened), **filters)
    assert accessible(opened) >= {
        "color-contrast",
        "label",
        "select-name",
        "region",
        "list",
        "definition-list",
        "summary-name",
    } - ({"list", "definition-list"} if "nothing" in filters.get("q", "") else set())


def test_it_is_dark_where_that_is_asked_for(page: Shown) -> None:
    opened = page.anew()
    opened.emulate_media(color_scheme="dark")
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", dark))) < 64


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anybody_can_read_it_where_its_script_does_not_run(page: Shown, scheme: str) -> None:
    opened = page.anew()
    opened.emulate_media(color_scheme=scheme)
    opened.set_content(re.sub("<script>.*?</script>", "", page.file.read_text(), flags=re.DOTALL))
    assert opened.get_by_role("search").count() == 0
    assert "color-contrast" in accessible(opened)


def test_what_was_found_is_told_to_who_does_not_see_it(page: Shown) -> None:
    opened = page.anew()
    assert opened.get_by_role("search").get_by_role("searchbox", name="Search").count() == 1
    assert opened.get_by_role("status").evaluate("one => getComputedStyle(one).display") != "none"
    names = [one.capitalize() for one in opened.locator("select").evaluate_all("all => all.map(one => one.name)")]
    assert [opened.get_by_role("combobox", name=name, exact=True).count() for name in names] == [1] * len(names)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_only_a_table_is_ever_scrolled_sideways(page: Shown, width: int) -> None:
    opened = unfolded(page.anew(width=width))
    assert sideways(opened) <= 0


# ---------------------------------------------------------------- on paper


def test_it_is_printed_on_a4(page: Shown) -> None:
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", page.anew().pdf(prefer_css_page_size=True))
    sizes = {(round(float(width) / 72 * 25.4), round(float(height) / 72 * 25.4)) for width, height in boxes}
    assert sizes == {(297, 210)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_has_all_that_differs_and_no_filters(page: Shown, scheme: str) -> None:
    opened = page.anew(width=int((297 - 2 * 12) * MILLIMETRE))
    opened.locator("details").evaluate_all("all => all.forEach(one => one.open = false)")
    assert found(opened) == []
    opened.emulate_media(media="print", color_scheme=scheme)
    differ = [
        (host, one.kind, printable(one.key)) for host, one in RESOURCES if one.verdict not in ("in_sync", "not_applicable")
    ]
    assert [one for one in found(opened) if one[1] != "manual_step"] == differ
    assert opened.get_by_role("search").count() == 0
    assert opened.locator("[aria-labelledby=evidence] li").first.is_visible()
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert sideways(opened) <= 0


def test_paper_says_what_was_filtered_away(page: Shown) -> None:
    opened = asked(page.anew(), verdict="unknown")
    opened.emulate_media(media="print")
    assert opened.get_by_role("status").is_visible()
    assert status(opened) == f"2 of {ALL} shown (Verdict: unknown)"
