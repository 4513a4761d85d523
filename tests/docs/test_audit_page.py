"""docs/audit.md is run: from a plan to its approval, to what was changed by hand, to the nights after, as it stands there."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from approvers import KEYS, configure, key_file
from clock import Clock, stopped
from command_line import opdeploy
from night import PASSWORD, Night, night_in

from opdeploy.lab import tampering
from opdeploy.lab.windows import servers

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
PIECE = re.compile(
    r"^<!-- (?P<done>[^\n]*) -->$|^```(?P<form>session|yaml waivers.yml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
# Of another run, another build or another machine they are others.
CHANGING = [
    (re.compile(r"sha256:[0-9a-f]{16,64}…?"), "sha256:…"),
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}"), "20261120T120000Z-…"),
    (re.compile(r"^\d+ POSTs, .*\n", re.MULTILINE), ""),
    (re.compile(r"\r\n"), "\n"),
]


@dataclass
class Story:
    night: Night

    def said(self, command: str) -> str:
        program, *arguments = shlex.split(command)
        assert program == "opdeploy"
        done = opdeploy(*arguments)
        text = done.out + done.err
        for changing, shown in CHANGING:
            text = changing.sub(shown, text)
        return "".join(f"{line.rstrip()}\n" for line in text.replace(str(self.night.folder), "").splitlines())

    def done(self, what: str) -> None:
        """What a comment on the page says was done between two commands."""
        word, *rest = what.split()
        if word == "tamper":
            assert len(list(tampering.tamper(self.night.boxes[rest[0]].state, rest[1:]))) == len(rest) - 1
        for day in rest if word in ("day", "nights") else ():
            Clock.day = int(day)
            if word == "nights":
                self.said("opdeploy drift check -i inventory")

    def shown(self, text: str) -> str:
        """A session with what its commands print now."""
        commands = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
        return "".join(f"$ {command}\n{self.said(command)}" for command in commands)


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    stopped(monkeypatch, "cli.compiled", "store.database", "cli.approving", "cli.approve", day=19)
    monkeypatch.setenv(PASSWORD, servers.PASSWORD)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOGNAME", "carl")
    monkeypatch.setattr(socket, "gethostname", lambda: "controller")
    monkeypatch.chdir(tmp_path)
    with night_in(tmp_path) as night:
        for name in ("db1", "ts1"):
            night.box(name)
        night.hosts = json.loads(json.dumps(night.hosts))
        night.write()
        assert opdeploy("apply", "--yes", "-i", "inventory").code == 0
        for host in night.hosts.values():
            host["firewall"]["rules"]["OP-Web-In"]["local_ports"] = 8445
        night.write()
        configure(tmp_path / "etc", monkeypatch, "rules:\n- kinds: [firewall_rule]\n  by: [anna]\n")
        key_file(tmp_path, "anna.key", KEYS["anna"])
        yield Story(night)


def test_the_page_is_what_happens(story: Story) -> None:
    page = PAGE.read_text(encoding="utf-8")

    def played(piece: re.Match[str]) -> str:
        if piece["done"]:
            story.done(piece["done"])
        elif piece["form"] == "session":
            return f"```session\n{story.shown(piece['text'])}```"
        else:
            Path("inventory/waivers.yml").write_text(piece["text"], encoding="utf-8")
        return piece[0]

    now = PIECE.sub(played, page)
    if os.environ.get("OPDEPLOY_REGENERATE"):
        PAGE.write_text(now, encoding="utf-8")
        pytest.fail("audit.md was written: read it, then run without OPDEPLOY_REGENERATE")
    assert now == page
