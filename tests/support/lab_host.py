"""A host of the lab's model for tests of the kinds: plan against its raw state, apply, plan again."""

from __future__ import annotations

from typing import Any

from cases import SERVER
from opdeploy.calls import Answer, Failure, Read, Write
from opdeploy.guard import Session
from opdeploy.lab.windows import accounts, cmdlets, registry, services
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import Facts, State
from opdeploy.model import Change
from opdeploy.planning import Desired, Managed, World, first_reads, plan_one, second_reads
from opdeploy.resources.base import Resource

TOKEN = Token("S-1-5-21-1-2-3-500", "DB1\\Administrator", ("S-1-5-32-544",), True)


def lab_state() -> State:
    """A firewall that runs, and the account `.\\op`."""
    state = State(Facts("DB1"))
    key = registry.create(state, f"{services.SERVICES}\\MpsSvc")
    registry.set_value(key, "Type", "DWord", 0x20)
    registry.set_value(key, "Start", "DWord", 2)
    services.set_running(state, "MpsSvc", True)
    state.users["S-1-5-21-1-2-3-1005"] = accounts.new_user("op")
    return state


def planned(state: State, resource: Resource) -> tuple[Change[Any], World]:
    """As the engine does: two rounds of reads, then the plan."""
    desired = Desired((Managed(resource),))
    observation: dict[str, Answer] = {read.key: answered(state, read) for read in first_reads(desired)}
    observation |= {read.key: answered(state, read) for read in second_reads(desired, observation)}
    world = World(SERVER, observation, Session())
    return plan_one(Managed(resource), world), world


def apply(state: State, change: Change[Any], world: World) -> list[Write]:
    """Makes the change. An error of Windows' fails the test."""
    writes = list(change.resource.writes(change, world.answers(change.resource)))
    for write in writes:
        cmdlets.run(state, TOKEN, write.args["name"], dict(write.args["parameters"]))
    return writes


def answered(state: State, read: Read) -> Answer:
    args = dict(read.args)
    if read.verb == "registry.read":
        key = registry.find(state, args["path"])
        return None if key is None else registry.answer(key, args.get("values"), args["depth"])
    if read.verb == "cmdlet.read":
        return _rows(state, args)
    if read.verb == "sid.resolve":
        return {"sid": accounts.sid_of(state, args["name"])}
    return {"name": accounts.name_of(state, args["sid"])} if read.verb == "name.resolve" else None


def _rows(state: State, args: dict[str, Any]) -> Answer:
    try:
        rows = cmdlets.run(state, TOKEN, args["name"], dict(args["parameters"]))
    except Refused as refused:
        return Failure(str(refused), id=refused.id)
    return [row if isinstance(row, str) else {name: row.get(name) for name in args["select"]} for row in rows]
