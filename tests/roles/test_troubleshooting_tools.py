"""The support's tools: each where its installer is given, none where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from labs import box
from roles_at_hand import refused, shipped
from roles_on_lab import converges, job, plan_text

from opdeploy.lab.windows import servers

NOTEPAD = """
    troubleshooting_tools:
      notepad_plus_plus:
        type: nsis
        source: { file: installers/npp.8.6.9.Installer.x64.exe }
        sha256: 9fb96f78267cedbdbd273bc46a4e00c59b74ae73a3b9c149f0167459352386af
        signer: { subject: CN=Notepad++ (simulated), issuer: CN=opdeploy lab CA }
        detect: { key: Notepad++ }
        version: at least 8.6
"""
ALL = (
    NOTEPAD
    + """
      wingrep:
        type: exe
        source: { file: installers/wingrep-setup.exe }
        sha256: dae75a443b2436724ec1abd91f022ba605792f71b5672d85961b3521e6e02614
        arguments: /S
        detect: { display_name: Windows Grep* }
      ibexpert:
        type: exe
        source: { file: installers/ibexpert-setup.exe }
        sha256: f5e6e8d34811b722a46428d32b52324718ab63b323aa573a7dee778c8e1fac95
        arguments: /quiet
        detect: { display_name: IBExpert* }
"""
)


def lines(told: str) -> list[str]:
    return [line for line in told.splitlines() if not line.startswith(" ")]


def test_each_is_optional(tmp_path: Path) -> None:
    assert lines(shipped(tmp_path, NOTEPAD)) == ["package Notepad++  [troubleshooting_tools]"]
    assert refused(tmp_path, "troubleshooting_tools:") == (
        "troubleshooting_tools: expected the installer of at least one: notepad_plus_plus, wingrep, ibexpert"
    )


@pytest.mark.usefixtures("no_pauses")
def test_all_of_them_on_a_terminal_server_twice(tmp_path: Path) -> None:
    with box(servers.terminal_server()) as server:
        wanted = job(tmp_path, server, ALL)
        assert plan_text(tmp_path, wanted) == (
            "  + package            Notepad++                                      troubleshooting_tools\n"
            "      version          – → at least 8.6\n"
            "      its installer: files/installers/npp.8.6.9.Installer.x64.exe "
            "(SHA-256 9fb96f78267cedbdbd273bc46a4e00c59b74ae73a3b9c149f0167459352386af, "
            "signed by CN=Notepad++ (simulated); CN=opdeploy lab CA), as the session's user\n"
            "      may need a reboot\n"
            "  + package            Wingrep                                        troubleshooting_tools\n"
            "      its installer: files/installers/wingrep-setup.exe "
            "(SHA-256 dae75a443b2436724ec1abd91f022ba605792f71b5672d85961b3521e6e02614), as the session's user, told /S\n"
            "      may need a reboot\n"
            "  + package            IBExpert                                       troubleshooting_tools\n"
            "      its installer: files/installers/ibexpert-setup.exe "
            "(SHA-256 f5e6e8d34811b722a46428d32b52324718ab63b323aa573a7dee778c8e1fac95), as the session's user, told /quiet\n"
            "      may need a reboot\n"
            "\n"
            "  0 in sync · 3 would change\n"
        )
        converges(tmp_path, server, wanted)


def test_an_installer_is_whole(tmp_path: Path) -> None:
    assert refused(tmp_path, "troubleshooting_tools: { wingrep: { type: exe } }").startswith(
        "troubleshooting_tools.wingrep.detect: missing"
    )
