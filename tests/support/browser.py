"""Debian's Chromium, headless, driven by Playwright, on a page that may load nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, Route, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not here: apt-get install chromium")
# Without these it looks for Google's hosts by itself.
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Shown:
    """A page as a browser has it; `asked` is every address that it wanted, `complaints` what the console said."""

    page: Page
    file: Path
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def anew(self, *, width: int = 1280, height: int = 900) -> Page:
        """Loaded again, as it is at first, in a window of this size."""
        self.page.emulate_media(media="screen", color_scheme="light")
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(self.file.as_uri())
        return self.page


@contextmanager
def shown(file: Path, profile: Path, *, script: bool = True) -> Iterator[Shown]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=ARGUMENTS, java_script_enabled=script
        )
        found = Shown(context.new_page(), file)

        def only_itself(route: Route, request: Request) -> None:
            found.asked.append(request.url)
            if request.url == file.as_uri():
                route.continue_()
            else:
                route.abort()

        context.route("**/*", only_itself)
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        yield found
        context.close()


def accessible(page: Page) -> set[str]:
    """The rules of axe-core that were held against something, all of them kept; what is not, is told."""
    result = Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    return {rule["id"] for rule in result.response["passes"]}


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
