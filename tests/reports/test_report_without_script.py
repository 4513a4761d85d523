"""The HTML report where no script may run, as in a mail's preview: whole, and without controls that would do nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import reported
from browser import Shown, needs_browser, shown

from opdeploy.rendering import printable
from opdeploy.reports.document import report
from opdeploy.reports.report_html import as_html

pytestmark = [pytest.mark.slow, needs_browser]

DOCUMENT = report(reported.EVERYTHING)
ENTRIES = "[data-verdict] > p:first-child"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.html").write_text(as_html(DOCUMENT), encoding="ascii")
    with shown(folder / "report.html", folder / "profile", script=False) as opened:
        yield opened


def test_all_of_it_is_there(page: Shown) -> None:
    said = page.anew().locator(ENTRIES).all_text_contents()
    keys = [printable(one.key) for host in DOCUMENT.hosts for one in host.resources]
    assert [key for key in keys if not any(key in one for one in said)] == []
    assert len(said) == len(keys) + sum(len(host.manual_steps) for host in DOCUMENT.hosts)


def test_what_differs_is_seen_and_the_rest_unfolds(page: Shown) -> None:
    opened = page.anew()
    assert opened.locator(ENTRIES, has_text="FirebirdServerDefaultInstance").first.is_visible()
    themes = opened.locator(ENTRIES, has_text="Themes")
    assert themes.is_hidden()
    opened.locator("summary", has_text="not applicable").click()
    assert themes.is_visible()


def test_no_search_is_offered(page: Shown) -> None:
    opened = page.anew()
    assert opened.locator("form").is_hidden()
    assert opened.get_by_role("search").count() == 0
    opened.get_by_role("link", name="db2.example").click()
    assert opened.url.endswith("#host-4")
