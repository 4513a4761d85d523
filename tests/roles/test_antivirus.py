"""What is not scanned: Defender's exclusions, or a step with the exact list where it does not guard the host, as that says."""

from __future__ import annotations

from pathlib import Path

import pytest
from labs import box
from roles_at_hand import refused, shipped
from roles_on_lab import converges, job, open_items, plan_text, planned

from opdeploy.lab.windows import servers, services

pytestmark = pytest.mark.usefixtures("no_pauses")
SETTINGS = r"""
    antivirus:
      product: defender
      paths: ['D:\OP\gdbmed']
      processes: ['C:\Program Files\Firebird\Firebird_3_0\firebird.exe']
      extensions: [fdb]
"""
OTHER = SETTINGS.replace("product: defender", "product: other")
DETECTED = SETTINGS.replace("product: defender", "product: detected")


def test_with_defender_they_are_set(tmp_path: Path) -> None:
    with box() as server:
        assert plan_text(tmp_path, job(tmp_path, server, SETTINGS)) == (
            "  + defender_exclusion path D:\\OP\\gdbmed                              antivirus\n"
            "  + defender_exclusion process C:\\Program Files\\Firebird\\Firebird_3_0\\firebird.exe antivirus\n"
            "  + defender_exclusion extension fdb                                  antivirus\n"
            "\n"
            "  0 in sync · 3 would change\n"
        )
        converges(tmp_path, server, job(tmp_path, server, SETTINGS))


def test_with_another_product_they_are_a_step_with_the_exact_list(tmp_path: Path) -> None:
    with box() as server:
        assert plan_text(tmp_path, job(tmp_path, server, OTHER)) == (
            "  manual steps (1 open)\n"
            "  ! op-antivirus-exclusions Exclude this from the antivirus' scans         antivirus\n"
            "      who              the practice's IT\n"
            "      how              In the console of the antivirus that guards this host, exclude from scanning:\n"
            "                       - path: D:\\OP\\gdbmed\n"
            "                       - process: C:\\Program Files\\Firebird\\Firebird_3_0\\firebird.exe\n"
            "                       - extension: fdb\n"
            "                       Take nothing wider: no whole drive, no folder above.\n"
            "      why              a scanner that holds a database's file open stops the practice's program, and whatever is "
            "excluded is not guarded\n"
            "      not signed off: opdeploy step sign op-antivirus-exclusions --by NAME --note TEXT\n"
            "\n"
            "  0 in sync · 1 manual step\n"
        )
        converges(tmp_path, server, job(tmp_path, server, OTHER))


def test_where_defender_does_not_run_that_is_said(tmp_path: Path) -> None:
    with box() as server:
        services.set_running(server.state, "WinDefend", False)
        told = open_items(planned(tmp_path, job(tmp_path, server, SETTINGS)))
    assert {(item.change.verdict, item.change.reason) for item in told} == {
        ("unknown", "Defender does not run here, as beside another antivirus: its exclusions can't be read")
    }


@pytest.mark.parametrize("settings", [SETTINGS, OTHER, DETECTED])
def test_what_is_too_wide_is_refused_for_all(tmp_path: Path, settings: str) -> None:
    assert refused(tmp_path, settings.replace(r"D:\OP\gdbmed", "C:\\")).startswith(
        "antivirus: defender_exclusion path C:\\: refused: C:\\ is a whole drive or a folder where attackers put their files"
    )


# ---------------------------------------------------------------- the host says which


def test_where_defender_is_active_its_exclusions_are_set_and_nobody_is_asked(tmp_path: Path) -> None:
    with box() as server:
        assert plan_text(tmp_path, job(tmp_path, server, DETECTED)) == plan_text(tmp_path, job(tmp_path, server, SETTINGS))
        converges(tmp_path, server, job(tmp_path, server, DETECTED))
        (step,) = planned(tmp_path, job(tmp_path, server, DETECTED)).manual_steps
    assert (step.change.verdict, step.change.reason) == ("not_applicable", "Defender is active here")


def test_where_it_is_not_the_list_is_a_step_and_the_exclusions_say_why(tmp_path: Path) -> None:
    with box() as server:
        server.state.features["windows-defender"]["state"] = "Available"
        _, asked = plan_text(tmp_path, job(tmp_path, server, OTHER)).split("  manual steps")
        steps, _, _ = asked.partition("\n\n")
        assert plan_text(tmp_path, job(tmp_path, server, DETECTED)) == (
            "  · defender_exclusion path D:\\OP\\gdbmed                              antivirus\n"
            "      Defender is not installed here\n"
            "  · defender_exclusion process C:\\Program Files\\Firebird\\Firebird_3_0\\firebird.exe antivirus\n"
            "      Defender is not installed here\n"
            "  · defender_exclusion extension fdb                                  antivirus\n"
            "      Defender is not installed here\n"
            "\n"
            f"  manual steps{steps}\n"
            "\n"
            "  0 in sync · 3 not applicable · 1 manual step\n"
        )
        converges(tmp_path, server, job(tmp_path, server, DETECTED))


def test_what_was_signed_off_stays_so_when_the_host_is_asked(tmp_path: Path) -> None:
    """The step's text is the same, whoever says that another antivirus guards the host."""
    with box(servers.backup_station()) as server:
        (told,) = planned(tmp_path, job(tmp_path, server, OTHER)).manual_steps
        (asked,) = planned(tmp_path, job(tmp_path, server, DETECTED)).manual_steps
    assert asked.change.verdict == told.change.verdict == "would_change"
    assert asked.change.resource.digest == told.change.resource.digest


def test_where_the_host_is_not_clear_both_are_unknown(tmp_path: Path) -> None:
    with box(servers.backup_station()) as server:
        services.set_running(server.state, "WinDefend", True)
        found = planned(tmp_path, job(tmp_path, server, DETECTED)).items
    assert {(item.change.verdict, item.change.reason) for item in found} == {
        ("unknown", "Defender says that it is active, and Windows Security Center that ESET Security is on")
    }


def test_the_host_is_asked_unless_it_is_said(tmp_path: Path) -> None:
    assert shipped(tmp_path, "antivirus: { extensions: [fdb] }") == shipped(
        tmp_path, "antivirus: { product: detected, extensions: [fdb] }"
    )
