"""Runs that have one of everything that a report can say: each verdict, action, outcome, class of drift, waiver, approval."""

from __future__ import annotations

from dataclasses import replace

import runs

from opdeploy.model import Property
from opdeploy.reboots import Reboot
from opdeploy.results import Approval, Drift, Evidence, Item, Waived, WaiverUse

READS = ("cim.read Win32_OperatingSystem", "registry.read")
EVIDENCE = Evidence(READS, (), ("sha256:" + "a" * 64,), "hmac-sha256:" + "b" * 64)
WAIVED = Waived(("start_mode",), "until the new printer is there", "anna", "2026-12-31")

MARKUP = "</script><img src='http://evil.example/x.png' onerror='document.title=1'><b>bold</b>"
TURNED = "abc\u202egnp.exe"
LONG = "D:\\" + "a-folder-with-quite-a-name\\" * 12 + "and" * 100

DRIFTED = runs.host(
    "db1.example",
    Item(runs.NEW_USER, drift=Drift("never_applied", "2026-11-22T03:00:00Z", "")),
    Item(
        runs.FIREBIRD,
        last_applied="2026-11-18T03:04:05Z",
        drift=Drift("corrective", "2026-11-19T03:00:00Z", "2026-11-21T03:00:00Z"),
    ),
    Item(runs.LATER, drift=Drift("intentional", "2026-11-21T21:00:00Z", "2026-11-21T21:00:00Z")),
    Item(
        runs.service("Spooler", start_mode=("manual", "disabled")),
        drift=Drift("waived", "2026-11-01T03:00:00Z", "", (WAIVED,)),
    ),
    Item(runs.UNREAD, drift=Drift("unknown", "2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z")),
    Item(runs.in_sync("W32Time", start_mode="automatic")),
    Item(replace(runs.in_sync("Themes"), verdict="not_applicable", reason="a server has no such service")),
    Item(runs.OPEN),
    Item(runs.SIGNED),
    warnings=("its certificate is not checked",),
    reboot=Reboot(("windows_update",)),
    evidence=EVIDENCE,
)  # fmt: skip
DRIFT = runs.run(
    DRIFTED,
    replace(runs.IN_SYNC, evidence=EVIDENCE),
    runs.UNREACHABLE,
    command="drift",
    waivers=(
        WaiverUse("waivers.yml:3", "db1", "service/Spooler", ("start_mode",), WAIVED.reason, "anna", "2026-12-31", "used"),
        WaiverUse("waivers.yml:10", "*", "service/*", (), "the old alarm", "ben", "2026-11-01", "expired"),
    ),
)
DONE = runs.host(
    "db2.example",
    Item(runs.NEW_USER, outcome="applied", commands=("New-LocalUser -Name 'op-support' -Password (secret)",)),
    Item(runs.FIREBIRD, outcome="failed", error="sc.exe ended with 5: access denied", words=("-old line", "+new line")),
    Item(runs.LATER, outcome="not_reached", error="it needs service Firebird"),
    Item(replace(runs.LEFT, refused=True), outcome="refused"),
    Item(runs.FEATURE, outcome="applied", reboot="the feature's installer says so"),
    Item(runs.EXTRA, outcome="applied"),
    Item(replace(runs.service("BITS", start_mode=("manual", "disabled")), action="replace"), outcome="applied"),
    Item(runs.UNPROVEN),
    Item(runs.in_sync("W32Time", start_mode="automatic")),
    reboot=Reboot(wanted={"windows_feature/NET-Framework-Core": "the feature's installer says so"}),
    evidence=replace(EVIDENCE, writes=("process.run sc.exe", "local_user.create New-LocalUser")),
)  # fmt: skip
APPLIED = runs.run(
    DONE,
    replace(runs.IN_SYNC, evidence=EVIDENCE),
    command="apply",
    plan="sha256:" + "7" * 64,
    approvals=(
        Approval("ben", "approve", "2026-11-21T16:00:00Z", "read it line by line", "2026-11-28T16:00:00Z", "SHA256:abc"),
        Approval("carla", "approve", "2026-11-21T17:00:00Z", "", "2026-11-28T16:00:00Z", "SHA256:def"),
    ),
)  # fmt: skip


def _hostile(said: str) -> Item:
    change = replace(runs.service(f"S{len(said)}"), properties={"display_name": Property(said, said)}, reason=said)
    return Item(change, outcome="failed", error=said, commands=(said,), words=(said,), reboot=said)


HOSTILE = runs.host("db3.example", *map(_hostile, (MARKUP, TURNED, LONG)), warnings=(MARKUP, LONG), hint=TURNED)
# No run of ours has all of it at once; a page must hold it all the same.
EVERYTHING = replace(DRIFT, hosts=(*DRIFT.hosts, DONE, HOSTILE), approvals=APPLIED.approvals, inventory=MARKUP)
