"""What a run shows while it is under way: each change as it begins, and how far a big file is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lab_installers import digest, inno
from labs import applied, box

from opdeploy.calls import Write, file_push
from opdeploy.engine import fleet
from opdeploy.resources.file import File
from opdeploy.resources.installers import LocalFile, Source
from opdeploy.resources.package import Detect, Package
from opdeploy.store import Store
from opdeploy.windows import sending
from opdeploy.windows.station import Station

PATH = r"C:\op.bin"
CONTENT = bytes(3000)


def pushed(source: Path, file: File) -> Iterator[Write]:
    yield file_push(file.path, str(source), str(file.sha256), len(CONTENT))


def test_a_big_file_is_shown_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "op.bin").write_bytes(CONTENT)
    monkeypatch.setattr(File, "arriving", lambda file: pushed(tmp_path / "op.bin", file))
    monkeypatch.setattr(sending, "PIECE", 1000)
    monkeypatch.setattr(sending, "MB", 1000)
    shown: list[tuple[str, int, int, str]] = []
    store = Store.open(tmp_path / "store")
    with box() as made:
        job = made.job([File(path=PATH, content=CONTENT)])
        result = applied(store, job, progress=lambda *told: shown.append(told))
    assert [(item.outcome, item.error) for item in result.items] == [("applied", "")]
    id = result.items[0].id
    assert [what for _, _, _, what in shown] == ["reading", id, *(f"{id}: {n} of 3 MB" for n in (1, 2, 3)), "applied"]


def test_an_installer_that_takes_long_is_shown_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = inno("OP Tool", key="OPTool", takes=3)
    (tmp_path / "setup.exe").write_bytes(setup)
    times = [0.0]
    clock = {"pause": lambda seconds: times.append(times[-1] + seconds), "clock": lambda: times[-1]}
    monkeypatch.setattr(fleet, "Station", partial(Station, **clock))
    shown: list[str] = []
    store = Store.open(tmp_path / "store")
    file = LocalFile(name="setup.exe", path=str(tmp_path / "setup.exe"), size=len(setup), sha256=digest(setup))
    package = Package(
        name="OP Tool", type="inno", source=Source(file=file), sha256=digest(setup), detect=Detect(key="OPTool_is1")
    )
    with box() as made:
        result = applied(store, made.job([package]), progress=lambda *told: shown.append(told[-1]))
    assert [(item.outcome, item.error) for item in result.items] == [("applied", "")]
    assert shown[3:-1] == [f"package/OP Tool: runs on the host; waited {waited}" for waited in ("0s", "1s", "3s")]
