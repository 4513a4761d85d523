"""What a run shows on a terminal while it is under way: one line a host, which fits."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from opdeploy.cli.terminal import bars


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_host_is_one_line_with_its_whole_name(width: int) -> None:
    shown = io.StringIO()
    rows = bars(Console(file=shown, width=width, force_terminal=True, color_system=None))
    rows.add_task("registry_value/" + "SOFTWARE" * 20, host="backup-station.example", total=2)
    rows.add_task("package/Slow: runs on the host", host="ts1", total=2)
    rows.console.print(rows.get_renderable())
    first, second = shown.getvalue().splitlines()
    assert first.startswith("backup-station.example ")
    assert "0:00:00" in first
    assert "registry_value/" in first or width == 60
    assert second.startswith("ts1 ")
