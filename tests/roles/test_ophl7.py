"""OPHL7Service: who is authoritative for what, the two set-ups there are, and the steps that follow from each."""

from __future__ import annotations

from pathlib import Path

import pytest
from roles_at_hand import refused, shipped

GIVEN = r"""
    ophl7:
      installer:
        type: inno
        source: { file: installers/ophl7-setup.exe }
        sha256: 2475bf2e2f55fba222a7d33a5bf87b4cd9cb5e6739fc947c343d021c41fa6e19
        detect: { key: OPHL7Service_is1 }
      services: { OPHL7Service: }
      folders: []
      openings: {}
      pm_system: PCC
"""


def authority(patients: str, schedule: str, charges: str = "op") -> str:
    return GIVEN + f"      patients: {patients}\n      schedule: {schedule}\n      charges: {charges}\n"


def steps(told: str) -> list[str]:
    return [line.split()[1] for line in told.splitlines() if line.startswith("manual_step ")]


ALWAYS = ["ophl7-superbill-off", "ophl7-merge-in-both", "ophl7-claims-are-made-in-the-pm"]


def test_where_the_pm_registers_and_books_nobody_does_so_in_op(tmp_path: Path) -> None:
    told = shipped(tmp_path, authority("pm", "pm"))
    assert steps(told) == ["ophl7-create-no-patients-in-op", "ophl7-make-no-appointments-in-op", *ALWAYS]


def test_where_op_registers_and_books_the_pm_is_for_billing_only(tmp_path: Path) -> None:
    assert steps(shipped(tmp_path, authority("op", "op"))) == ["ophl7-register-and-book-in-op", *ALWAYS]


def test_a_step_names_the_other_system_so_that_another_one_opens_it_again(tmp_path: Path) -> None:
    one, other = (shipped(tmp_path / pm, authority("pm", "pm").replace("PCC", pm)) for pm in ("PCC", "Medisoft"))
    assert steps(one) == steps(other)
    assert "Patients are added, changed and taken out in PCC" in one
    assert "Patients are added, changed and taken out in Medisoft" in other


A_PATIENTS = "an appointment is of a patient"
TWO = "OPHL7Service takes both from the PM, or sends both to it"
CONTRADICTIONS = [
    (
        ("pm", "pm", "pm"),
        "charges: pm is refused: they come of the medical work, which is done in OP, and OP sends them",
    ),
    (
        ("op", "op", "pm"),
        "charges: pm is refused: they come of the medical work, which is done in OP, and OP sends them",
    ),
    (
        ("pm", "op", "op"),
        f"patients: pm with schedule: op is refused: {A_PATIENTS}, and OP may create none then, so a new patient could not be "
        f"booked in OP; {TWO}",
    ),
    (
        ("op", "pm", "op"),
        f"patients: op with schedule: pm is refused: {A_PATIENTS}, and in the PM there is none before OP has sent it; {TWO}",
    ),
]


@pytest.mark.parametrize(("sides", "said"), CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_with_the_reason(tmp_path: Path, sides: tuple[str, str, str], said: str) -> None:
    assert refused(tmp_path, authority(*sides)) == f"ophl7: {said}"


def test_nobody_is_authoritative_without_being_named(tmp_path: Path) -> None:
    assert [line.partition(" (")[0] for line in refused(tmp_path, GIVEN).splitlines()] == [
        "ophl7.charges: missing",
        "ophl7.patients: missing",
        "ophl7.schedule: missing",
    ]
    assert refused(tmp_path / "2", authority("both", "pm")) == "ophl7.patients: expected 'op' or 'pm', found 'both'"
