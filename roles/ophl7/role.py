"""OPHL7Service, the interface between OP and another practice management (PM) system: whose data counts, and what follows.

By OP's article 'Working with OPHL7Service' (version 14.8) there are two set-ups. The usual one: the PM is authoritative for
patients and schedule, OP for charges. The other: OP sends patients and schedule too, and the PM is just used for billing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import model_validator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.resources.manual_step import ManualStep
from opdeploy.resources.values import Text
from opdeploy.roles import Product, Required

NEEDS = ("support_account", "firebird", "op_folders", "op_services")

Side = Literal["op", "pm"]
TWO_SET_UPS = "OPHL7Service takes both from the PM, or sends both to it"


class Settings(Product):
    pm_system: Text = Required("what the other system is called, such as PCC")
    """What the PM system is called: the steps name it."""
    patients: Side = Required("where patients are registered: pm (the usual) or op")
    """Who is authoritative for patients: `pm` or `op`."""
    schedule: Side = Required("where appointments are made: pm (the usual) or op")
    """Who is authoritative for the schedule: `pm` or `op`."""
    charges: Side = Required("where charges come from: op, always")
    """Who is authoritative for charges: `op`."""

    @model_validator(mode="after")
    def _directions_agree(self) -> Self:
        if self.charges == "pm":
            raise ValueError("charges: pm is refused: they come of the medical work, which is done in OP, and OP sends them")
        if (self.patients, self.schedule) == ("pm", "op"):
            raise ValueError(
                "patients: pm with schedule: op is refused: an appointment is of a patient, and OP may create none then, "
                f"so a new patient could not be booked in OP; {TWO_SET_UPS}"
            )
        if (self.patients, self.schedule) == ("op", "pm"):
            raise ValueError(
                "patients: op with schedule: pm is refused: an appointment is of a patient, and in the PM there is none "
                f"before OP has sent it; {TWO_SET_UPS}"
            )
        return self


def resources(interface: Settings, host: Host) -> Iterator[Resource | Because]:
    yield from interface.resources("OPHL7Service")
    yield from _steps_with_pm(interface) if interface.patients == "pm" else _steps_with_op(interface)
    yield from _steps_always(interface)


def _steps_with_pm(interface: Settings) -> Iterator[ManualStep]:
    pm = interface.pm_system
    yield _step(
        "ophl7-create-no-patients-in-op",
        "Create no patients in OP",
        f"Patients are added, changed and taken out in {pm}; OP gets each by a message.\n"
        f"Tell everybody who registers patients. What {pm} does not keep of a patient may be edited in OP.",
        f"{pm} is authoritative for patients: one made in OP has an ID that {pm} does not know",
    )
    yield _step(
        "ophl7-make-no-appointments-in-op",
        "Make no appointments of patients in OP",
        f"Appointments are made, changed and cancelled in {pm}, and patients are checked in there; OP gets each by a message.\n"
        "Tell everybody at the front desk. Events that are of no patient (a drug rep's visit) may be entered in OP.",
        f"{pm} is authoritative for the schedule: what is entered in OP for a patient is not in {pm}",
    )


def _steps_with_op(interface: Settings) -> Iterator[ManualStep]:
    pm = interface.pm_system
    yield _step(
        "ophl7-register-and-book-in-op",
        f"Register patients and make appointments in OP, and use {pm} for billing only",
        f"OP sends patients and appointments to {pm}, besides the charges. Tell everybody at the front desk.",
        f"OP is authoritative for patients and schedule: what is entered in {pm} does not come to OP",
    )


def _steps_always(interface: Settings) -> Iterator[ManualStep]:
    pm = interface.pm_system
    yield _step(
        "ophl7-superbill-off",
        "Turn the Superbill form off for all users",
        "In OP, turn the Superbill form off for every user; look at those who join later, too.",
        f"OP's article on OPHL7Service asks for it: charges go to {pm} by the interface",
    )
    yield _step(
        "ophl7-merge-in-both",
        "Merge patients in both systems",
        f"Whenever two entries of one patient are merged, do it in {pm} and in OP. Both IDs stay in both systems, one of them\n"
        "marked inactive: see that it is the same one.",
        "OP's article asks for it: merged on one side only, the two systems speak of different entries",
    )
    yield _step(
        "ophl7-claims-are-made-in-the-pm",
        f"Say who makes claims of the charges in {pm}",
        f"OP sends each new charge to {pm} as it happens. The billing department decides when all current ones are rolled up\n"
        "into a claim: name who does, and how often.",
        "a charge that nobody makes into a claim is not paid",
    )


def _step(id: str, title: str, how: str, why: str) -> ManualStep:
    return ManualStep(id=id, title=title, who="the practice's manager, with OP Support and the PM's vendor", how=how, why=why)
