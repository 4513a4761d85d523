"""The service control manager: services are registry keys, and a list of those that run.

Start and stop do at once what Windows does in a moment: there is no pending state. A service marked for deletion is not
modelled.
"""

from __future__ import annotations

import base64
import struct

from opdeploy.lab.windows import registry, sddl
from opdeploy.lab.windows.accounts import SERVICES
from opdeploy.lab.windows.sddl import Descriptor
from opdeploy.lab.windows.state import Json, State

DEFAULT_DESCRIPTOR = (
    "D:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)"
    "S:(AU;FA;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;WD)"
)
START = {"boot": 0, "system": 1, "auto": 2, "demand": 3, "disabled": 4, "delayed-auto": 2}
START_TYPES = {0: "Boot", 1: "System", 2: "Automatic", 3: "Manual", 4: "Disabled"}
DISABLED = 4
ACTIONS = {"": 0, "none": 0, "restart": 1, "reboot": 2, "run": 3}
NO_STOP = ("rpcss", "dcomlaunch", "rpceptmapper", "lsm", "samss", "brokerinfrastructure", "mpssvc", "bfe", "windefend")
"""Services that accept no stop while Windows runs, from an administrator either."""


def find(state: State, name: str) -> Json | None:
    """The service's key; a driver has one too, a key without a Type is no service."""
    key = registry.find(state, f"{SERVICES}\\{name}") if name and "\\" not in name else None
    return key if key is not None and registry.value(key, "Type") is not None else None


def all_services(state: State) -> list[Json]:
    """Those that Get-Service lists: no drivers. By name."""
    key = registry.find(state, SERVICES)
    keys = key["keys"].values() if key else []
    listed = [sub for sub in keys if (registry.value(sub, "Type") or 0) & 0x30]
    return sorted(listed, key=lambda sub: sub["name"].lower())


def runs(state: State, name: str) -> bool:
    return name.lower() in state.running


def set_running(state: State, name: str, running: bool) -> None:
    others = [other for other in state.running if other != name.lower()]
    state.running = sorted([*others, name.lower()] if running else others)


def needs(key: Json) -> list[str]:
    return list(registry.value(key, "DependOnService") or [])


def dependents(state: State, name: str) -> list[Json]:
    """The services that need this one, and those that need them, nearest first."""
    direct = [key for key in all_services(state) if name.lower() in [need.lower() for need in needs(key)]]
    further = [key for one in direct for key in dependents(state, one["name"])]
    return list({key["name"]: key for key in [*direct, *further]}.values())


def create(state: State, name: str, command: str, *, start: int = 2) -> Json:
    """A service as CreateService writes it."""
    key = registry.create(state, f"{SERVICES}\\{name}")
    for value, kind, data in (
        ("Type", "DWord", 0x10),
        ("Start", "DWord", start),
        ("ErrorControl", "DWord", 1),
        ("ImagePath", "ExpandString", command),
        ("ObjectName", "String", "LocalSystem"),
    ):
        registry.set_value(key, value, kind, data)
    return key


def delete(state: State, name: str) -> None:
    registry.remove_key(state, f"{SERVICES}\\{name}")


def start(state: State, name: str) -> int:
    """Win32's error code, 0 when it runs. What it needs is started first."""
    key = find(state, name)
    if key is None:
        return 1060
    if runs(state, name):
        return 1056
    if registry.value(key, "Start") == DISABLED:
        return 1058
    for need in needs(key):
        other = find(state, need)
        if other is None:
            return 1075
        if not runs(state, need) and start(state, need):
            return 1068
    set_running(state, key["name"], True)
    return 0


# ---------------------------------------------------------------- descriptor and failure actions


def descriptor(key: Json) -> Descriptor:
    stored = registry.value(key["keys"].get("security"), "Security")
    return sddl.from_bytes(base64.b64decode(stored)) if stored else sddl.parse(DEFAULT_DESCRIPTOR)


def shown_descriptor(key: Json) -> str:
    """As sc sdshow prints it to an administrator: no owner, no group."""
    found = descriptor(key)
    return sddl.render(Descriptor(dacl=found.dacl, sacl=found.sacl), files=False)


def set_descriptor(state: State, name: str, text: str) -> None:
    """Raises ValueError or KeyError for SDDL that is none. The audit list stays where the text has none."""
    wanted = sddl.parse(text, state.facts.machine_sid)
    if wanted.dacl is None:
        raise ValueError("no discretionary list")
    key = find(state, name)
    old = descriptor(key) if key else Descriptor()
    stored = Descriptor("S-1-5-18", "S-1-5-18", wanted.dacl, wanted.sacl or old.sacl)
    security = registry.create(state, f"{SERVICES}\\{name}\\Security")
    registry.set_value(security, "Security", "Binary", base64.b64encode(sddl.to_bytes(stored)).decode())


def failure_actions(reset: int, actions: list[tuple[str, int]]) -> str:
    """The blob in base64 [MS-SCMR 2.2.39 as the registry keeps it]: `reset` in seconds, actions with milliseconds."""
    packed = struct.pack("<5I", reset, 0, 0, len(actions), 20)
    for action, delay in actions:
        packed += struct.pack("<2I", ACTIONS[action], delay)
    return base64.b64encode(packed).decode()
