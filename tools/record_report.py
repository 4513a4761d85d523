"""Records docs/report.png from the real command: `make picture`. It is what Chromium shows first of a plan's HTML report.

The plan is of the demo's lab, set up and then tampered with, as in the other picture.
"""

from __future__ import annotations

import sys

from record_plan import PROJECT, opdeploy, tampered

sys.path.insert(0, str(PROJECT / "tests/support"))

from browser import shown

SIZE = {"width": 1280, "height": 1000}
LARGEST = 200_000  # bytes, in a README that everybody loads


def main() -> None:
    with tampered() as folder:
        report = folder / "plan.html"
        report.write_text(opdeploy(folder, "plan", "--format", "html"), encoding="ascii")
        with shown(report, folder / "profile") as opened:
            picture = opened.anew(**SIZE).screenshot(path=PROJECT / "docs" / "report.png")
    if len(picture) > LARGEST:
        raise SystemExit(f"docs/report.png has {len(picture)} bytes, {LARGEST} are allowed")


if __name__ == "__main__":
    main()
