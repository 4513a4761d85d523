"""The event source of a host's work log."""

from __future__ import annotations

from pathlib import Path

from labs import box
from roles_at_hand import refused, shipped
from roles_on_lab import converges, job

KEY = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\opdeploy"


def test_it_is_two_values_of_the_registry(tmp_path: Path) -> None:
    assert shipped(tmp_path, "work_log:") == (
        f"registry_value {KEY} TypesSupported  [work_log]\n"
        "    type dword\n"
        "    data 7\n"
        f"registry_value {KEY} EventMessageFile  [work_log]\n"
        "    type expand_string\n"
        "    data %SystemRoot%\\Microsoft.NET\\Framework64\\v4.0.30319\\EventLogMessages.dll\n"
    )


def test_it_has_no_settings(tmp_path: Path) -> None:
    assert refused(tmp_path, "work_log: { log: System }") == "work_log.log: no such setting"


def test_twice_changes_nothing(tmp_path: Path) -> None:
    with box() as server:
        converges(tmp_path, server, job(tmp_path, server, "work_log:"))
        assert [event["id"] for event in server.state.application_events] == [1]
