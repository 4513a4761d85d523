"""The simulated installers that the lab's inventory may name: what the page says of them, and that they come and go."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from lab_asking import asking
from lab_installers import WINDOWS_INSTALLER, pushed

from opdeploy import calls
from opdeploy.lab.windows import installers, servers
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import dump

FOLDER = Path(__file__).parents[3] / "files" / "installers"
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in (".exe", ".msi")}


def unclocked(computer: Computer) -> str:
    return dump(replace(computer.state, time="", installer_runs=[]))


def test_the_page_has_every_file_with_its_hash() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([^`]+)` \| .* \| `([0-9a-f]{64})` \|$", page, re.MULTILINE))
    assert told == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_each_comes_and_goes_and_leaves_nothing(name: str) -> None:
    computer = Computer(servers.bare())
    ask, path = asking(computer), f"C:\\Windows\\Temp\\{name}"
    for write in pushed(path, FILES[name]):
        assert ask(write) is None
    states = [unclocked(computer)]
    package = installers.parse(FILES[name])
    assert package is not None
    code, silent = package.product_code, " ".join(package.silent)
    come, go = (f'/i "{path}"', f"/x {code}") if code else ("", "")
    uninstaller = WINDOWS_INSTALLER if code else package.uninstaller["path"]
    for program, line in ((WINDOWS_INSTALLER if code else path, come), (uninstaller, go)):
        assert ask(calls.install_run(program, f"{line} {silent}", 60))["exit"] == 0
        states.append(unclocked(computer))
    for _ in range(package.uninstaller.get("returns_at_once", 0)):
        ask(calls.job_read("0" * 32))
    assert states[0] != states[1]
    assert unclocked(computer) == states[0]
