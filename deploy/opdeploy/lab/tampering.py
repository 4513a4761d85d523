"""What ``lab tamper`` does: a fixed list of changes that somebody could have made on a server behind everybody's back.

Each is a function of the host's raw state that says in one line what it did, or '' where the host has nothing of the kind.
They look for what is the practice's (group OP, folders of drive D:, accounts that somebody made), so that they hit what an
inventory manages, and leave Windows' own alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from opdeploy.lab.windows import accounts, files, registry, rules, services
from opdeploy.lab.windows.state import Json, State

GROUP = "OP"
SERVICES = ("FirebirdServerDefaultInstance", "Spooler")
MANUAL = 3
FIRST_OWN_RID = 1000  # accounts that somebody made have greater ones
UNMANAGED = "OP-Temp-Allow-All"
OTHER_PROGRAM = "C:\\Users\\Public\\run.cmd"
_COMMAND = re.compile(r"(<Command>)[^<]*(</Command>)")
_LOCAL_ACE = re.compile(r";;;(S-1-5-21-[\d-]+)\)$")


def tamper(state: State, only: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Makes the changes of the list, all or those named: (name, what was done). Raises KeyError for a name not on it."""
    for name in only or TAMPERINGS:
        if done := TAMPERINGS[name](state):
            state.tick()
            yield name, done


def stop_service(state: State) -> str:
    """Stops a service that should run, and starts it only by hand from now on."""
    name = next((name for name in SERVICES if services.runs(state, name)), None)
    if name is None:
        return ""
    services.set_running(state, name, False)
    registry.set_value(registry.create(state, f"{accounts.SERVICES}\\{name}"), "Start", "DWord", MANUAL)
    return f"stopped the service {name} and set it to manual"


def open_rule(state: State) -> str:
    """Lets everybody through a rule that was for some addresses only."""
    for name, pairs in _rules(state):
        narrowed = [pair for pair in pairs if pair[0].startswith("RA")]
        if narrowed and ("EmbedCtxt", GROUP) in pairs:
            _write_rule(state, name, [pair for pair in pairs if pair not in narrowed])
            return f"opened the firewall rule {name} to any remote address"
    return ""


def add_unmanaged_rule(state: State) -> str:
    """A rule that lets everything in, in a group that is not its."""
    wanted = [("Action", "Allow"), ("Active", "TRUE"), ("Dir", "In"), ("Protocol", "6"), ("LPort", "8080")]
    _write_rule(state, UNMANAGED, [*wanted, ("Name", "temporary, remove on Monday"), ("EmbedCtxt", GROUP)])
    return f"added the firewall rule {UNMANAGED} to the group {GROUP}"


def promote(state: State) -> str:
    """Makes an account that is no administrator one."""
    members = state.groups[accounts.ADMINISTRATORS]["members"]
    sid = next((sid for sid in _own_accounts(state) if sid not in members), None)
    if sid is None:
        return ""
    members.append(sid)
    return f"made {state.users[sid]['name']} an administrator"


def remove_access(state: State) -> str:
    """Takes an account's access to a folder."""
    for entry in state.files.values():
        found = next((ace for ace in entry["aces"] if _is_for_own_account(state, ace)), None)
        if found and entry["path"].upper().startswith("D:\\"):
            entry["aces"].remove(found)
            return f"removed an account's access to {entry['path']}"
    return ""


def edit_file(state: State) -> str:
    """Adds a line to a file."""
    entry = next((e for e in state.files.values() if not e["directory"] and e["path"].upper().startswith("D:\\")), None)
    if entry is None:
        return ""
    files.put_file(state, entry["path"], entry["owner"], files.data(entry) + b"# edited by hand\r\n")
    return f"added a line to {entry['path']}"


def redirect_task(state: State) -> str:
    """Has a scheduled task of the practice run another program."""
    task = next((task for task in state.tasks.values() if task["path"].upper().startswith(f"\\{GROUP}\\")), None)
    if task is None:
        return ""
    task["xml"] = _COMMAND.sub(lambda found: f"{found[1]}{OTHER_PROGRAM}{found[2]}", task["xml"], count=1)
    return f"had the scheduled task {task['path']} run {OTHER_PROGRAM}"


TAMPERINGS: dict[str, Callable[[State], str]] = {
    "service": stop_service,
    "rule": open_rule,
    "unmanaged-rule": add_unmanaged_rule,
    "administrator": promote,
    "access": remove_access,
    "file": edit_file,
    "task": redirect_task,
}


# ---------------------------------------------------------------- the state


def _rules(state: State) -> Iterable[tuple[str, rules.Pairs]]:
    key: Json = registry.create(state, rules.KEY)
    return [(name, rules.parse(line)) for name, _, line in key["values"].values()]


def _write_rule(state: State, name: str, pairs: rules.Pairs) -> None:
    registry.set_value(registry.create(state, rules.KEY), name, "String", rules.render(pairs, state.facts.build))


def _own_accounts(state: State) -> list[str]:
    """Newest first: what an inventory made comes after what was there."""
    own = [sid for sid in state.users if int(sid.rpartition("-")[2]) > FIRST_OWN_RID]
    return sorted(own, key=lambda sid: int(sid.rpartition("-")[2]), reverse=True)


def _is_for_own_account(state: State, ace: str) -> bool:
    found = _LOCAL_ACE.search(ace)
    return found is not None and found[1] in state.users
