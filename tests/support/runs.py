"""Runs made of plain values, for reports, plan files and records."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from rich.text import Text

from cases import SERVER
from opdeploy.model import Change, NotOurs, Principal, Property, Secret, Unproven
from opdeploy.reports import document
from opdeploy.reports.plan_file import PlanDocument, check_sources, host_differences
from opdeploy.reports.text import Detail, report_text
from opdeploy.resources.base import KEY, Resource
from opdeploy.resources.manual_step import ManualStep, Signature
from opdeploy.resources.service import Grant, Recovery, Service
from opdeploy.resources.values import Duration
from opdeploy.results import Cost, HostResult, Item, Run

PASSWORD = "correct horse battery staple"
SUPPORT = Principal(".\\op-support")
CLIENT = replace(SERVER, product="WinNT", build=26100, powershell="5.1.26100.1882")


def run_text(run: Run, *, verbose: bool = False, commands: bool = False, diff: bool = False) -> list[Text]:
    """What a command prints of a run, a `Text` a line."""
    return report_text(document.report(run), Detail(verbose, commands, diff))


class User(Resource):
    """An account as these tests need one: a kind with a secret."""

    KIND = "local_user"
    name: Annotated[str, KEY]
    enabled: bool | None = None
    password: Secret | None = None


class Feature(Resource):
    """One of which any change may want Windows started anew."""

    KIND = "windows_feature"
    name: Annotated[str, KEY]

    def may_reboot(self, change: Change[Any]) -> bool:
        return True


def secret(value: str = PASSWORD) -> Secret:
    return Secret(value, "env:OP_PASSWORD")


def user(**before_and_after: tuple[Any, Any]) -> Change[Any]:
    desired = User(name=".\\op-support", **{name: after for name, (_, after) in before_and_after.items()})
    properties = {name: Property(*values) for name, values in before_and_after.items()}
    return Change(desired, None, "would_change", "create", properties, roles=("support_account",))


def service(name: str, **before_and_after: tuple[Any, Any]) -> Change[Any]:
    """One that differs; `actual` is as before."""
    then = {title: before for title, (before, _) in before_and_after.items()}
    desired = Service(name=name, **{title: after for title, (_, after) in before_and_after.items()})
    properties = {title: Property(*values) for title, values in before_and_after.items()}
    return Change(
        desired, Service.model_construct(name=name, **then), "would_change", "update", properties, roles=("op_services",)
    )


def in_sync(name: str, **values: Any) -> Change[Any]:
    return Change(Service(name=name, **values), Service(name=name, **values), "in_sync", roles=("op_services",))


FIREBIRD = replace(
    service(
        "FirebirdServerDefaultInstance",
        recovery=(Recovery(actions=()), Recovery(actions=("restart 1m", "restart 5m", "none"), reset=Duration(86400))),
        grants=((), (Grant(principal=SUPPORT, rights=("start", "stop")),)),
        dependencies=(("RpcSs",), ("RpcSs", "Tcpip")),
    ),
    roles=("firebird", "support_account"),
)
LEFT = replace(
    service("wuauserv", start_mode=("manual", "disabled")),
    action="none",
    reason=NotOurs("set by a group policy"),
)
UNREAD = replace(in_sync("Netlogon", start_mode="automatic"), actual=None, verdict="unknown", reason="access denied")
EXTRA = Change(
    Service(name="Leftover", absent=True),
    Service(name="Leftover", start_mode="automatic"),
    "would_change",
    "remove",
    {"start_mode": Property("automatic", None)},
    roles=("firewall",),
    reason="not in the inventory, group OP is exact",
)
UNPROVEN = replace(
    user(password=(Unproven("nobody recorded when it was set"), secret())),
    verdict="unknown",
    action="update",
    reason="nobody recorded when it was set",
)
LATER = replace(
    service("FirebirdGuardian", grants=(None, (Grant(principal=SUPPORT, rights=("query",)),))), known_after_apply=("grants",)
)

FEATURE = Change(Feature(name="NET-Framework-Core"), None, "would_change", "create", roles=("database",))
STEP = ManualStep(
    id="take-the-disk-home",
    title="Take the backup disk home",
    who="whoever closes the practice",
    how="Eject the disk at the left dock.\nPut the one from the safe in its place.",
    why="only a disk that is elsewhere survives a fire",
)
OPEN = Change(
    STEP, None, "would_change", reason=NotOurs("not signed off: opdeploy step sign take-the-disk-home"), roles=("backup",)
)
SIGNED_STEP = STEP.model_copy(
    update={
        "id": "label-the-disks",
        "title": "Label the disks A and B",
        "signed": Signature(by="anna", at="2026-11-20T03:04:05.678Z", note="done, photo in the folder"),
    }
)
SIGNED = Change(SIGNED_STEP.model_copy(update={"signed": None}), SIGNED_STEP, "in_sync", roles=("backup",))


def item(change: Change[Any], **given: Any) -> Item:
    return Item(change, **given)


def host(name: str = "db1.example", *items: Item, **given: Any) -> HostResult:
    cost = Cost(4, 12_345, 67_890, 1.5)
    return HostResult(name, items, **{"machine": SERVER, "cost": cost, **given})


def run(*hosts: HostResult, command: Any = "plan", **given: Any) -> Run:
    return Run(
        **{
            "command": command, "run_id": "20261122T030000Z-1a2b", "created_at": "2026-11-22T03:00:00Z", "by": "anna@admin-pc",
            "inventory": "inventories/lab", "sources": "sha256:" + "5" * 64, "hosts": hosts, **given,
        }
    )  # fmt: skip


NEW_USER = user(enabled=(None, True), password=(None, secret()))
PLANNED = host(
    "db1.example",
    item(NEW_USER, commands=("New-LocalUser -Name 'op-support' -Password (secret)",)),
    item(FIREBIRD, commands=("sc.exe config FirebirdServerDefaultInstance depend= RpcSs/Tcpip", "sc.exe failureflag X 0")),
    item(LATER),
    item(LEFT),
    item(UNREAD),
    item(in_sync("Spooler", start_mode="disabled")),
    item(in_sync("W32Time", start_mode="automatic")),
    item(EXTRA),
)  # fmt: skip
IN_SYNC = host("backup1.example", item(in_sync("Spooler", start_mode="disabled")), machine=CLIENT)
UNREACHABLE = host(
    "ts1.example", machine=None, cost=Cost(),
    error="the host did not take the password of DB1\\installer", hint="check ansible_password in inventories/lab",
)  # fmt: skip
FLEET = run(PLANNED, IN_SYNC, UNREACHABLE)


def differences(document: PlanDocument, made_anew: Run, key: bytes) -> dict[str, tuple[str, ...]]:
    """Which hosts an apply of a plan file finds stale, and by what, a line each."""
    check_sources(document, made_anew.sources, key)
    found = {one.name: host_differences(document, one, key) for one in made_anew.hosts}
    return {name: lines for name, lines in found.items() if lines}
