"""What 30,000 resources cost who opens the HTML report: beside 300 of them, and beside the same as one plain table.

Chromium, headless; each page is opened and searched in turn in one run, and medians are compared.

    .venv/bin/python benchmarks/report_page.py [--hosts N] [--rounds N]
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))

import runs
from browser import shown
from playwright.sync_api import Page

from opdeploy.reports.csv import as_csv
from opdeploy.reports.document import Report, report
from opdeploy.reports.report_html import as_html
from opdeploy.results import Item

RESOURCES = 150  # of a host
PATIENCE = 600_000  # ms: a plain table takes long
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
SEARCH = """async words => {
  const field = document.querySelector("input"), began = performance.now();
  field.value = words;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));
  return performance.now() - began;
}"""
NAIVE = """<input><table>{rows}</table><script>
document.querySelector("input").oninput = ({{ target }}) => {{
  for (const row of document.querySelectorAll("tr"))
    row.style.display = row.textContent.toLowerCase().includes(target.value) ? "" : "none";
}};
</script>"""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- the pages


def fleet(hosts: int, differing: int) -> Report:
    """`differing` of a hundred resources differ, in three properties each."""
    return report(runs.run(*(runs.host(f"db{number}.example", *_items(number, differing)) for number in range(hosts))))


def _items(host: int, differing: int) -> Iterator[Item]:
    for number in range(RESOURCES):
        name, shown = f"Service{host}x{number}", f"Service {number} of the practice"
        changed = runs.service(name, start_mode=("manual", "disabled"), state=("running", "stopped"), display_name=("", shown))
        yield Item(changed if number % 100 < differing else runs.in_sync(name))


def naive(told: Report) -> str:
    rows = csv.reader(io.StringIO(as_csv(told)))
    return NAIVE.format(rows="".join(f"<tr>{''.join(f'<td>{escape(cell)}' for cell in row)}" for row in rows))


def pages(hosts: int) -> dict[str, str]:
    small, night, bare = fleet(2, 5), fleet(hosts, 5), fleet(hosts, 100)
    return {
        "300": as_html(small),
        "night": as_html(night),
        "bare": as_html(bare),
        "night, plain table": naive(night),
        "bare, plain table": naive(bare),
    }


# ---------------------------------------------------------------- what they take


def measured(page: Page, file: Path) -> dict[str, float]:
    """Milliseconds until it is drawn, until a first search is, and until each further one is, one word growing."""
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto(file.as_uri())
    page.evaluate(DRAWN)
    opened = (time.perf_counter() - began) * 1000
    first, *further = (page.evaluate(SEARCH, words) for words in ("service1", "service1x", "service1x14", "service1x", ""))
    return {"open": opened, "first search": first, "search": statistics.median(further)}


def medians(texts: dict[str, str], rounds: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, text in texts.items():
            (folder / f"{title}.html").write_text(text, encoding="utf-8")
        for _ in range(rounds):
            for title in texts:
                file = folder / f"{title}.html"
                with shown(file, folder / "profile") as opened:
                    opened.page.set_default_timeout(PATIENCE)
                    for what, taken in measured(opened.page, file).items():
                        found[title][what].append(taken)
    return {title: {what: statistics.median(taken) for what, taken in one.items()} for title, one in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=200, metavar="N", help=f"of {RESOURCES} resources each")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    asked = parser.parse_args()
    texts = pages(asked.hosts)
    found = medians(texts, asked.rounds)
    for title, taken in found.items():
        say(f"{title}: {len(texts[title]) / 1e6:.1f} MB, " + ", ".join(f"{what} {ms:.0f} ms" for what, ms in taken.items()))
    for one, other in [("night", "300"), ("bare", "300"), ("night", "night, plain table"), ("bare", "bare, plain table")]:
        ratios = (f"{what} {taken / found[other][what]:.2f}" for what, taken in found[one].items())
        say(f"{one} to {other}: {', '.join(ratios)}")


if __name__ == "__main__":
    main()
