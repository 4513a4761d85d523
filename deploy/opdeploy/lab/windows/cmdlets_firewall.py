"""Firewall rules: the cmdlets of the module NetSecurity over the registry's own store (PersistentStore).

A Set- replaces what it is given and keeps the rest, keys that it has no word for too; the rule is then written with the
machine's own version.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from opdeploy.lab.windows import errors, registry, rules, services
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.binding import Bound
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.rules import Pairs
from opdeploy.lab.windows.state import Json, State

MODELLED = {
    "Name", "DisplayName", "NewDisplayName", "Description", "Group", "Direction", "Action", "Enabled", "Profile", "Protocol",
    "LocalPort", "RemotePort", "IcmpType", "LocalAddress", "RemoteAddress", "Program", "Service", "InterfaceType",
    "EdgeTraversalPolicy",
}  # fmt: skip
# Parameter: the keys that it replaces
_KEYS = {
    "Enabled": ("Active",),
    "Action": ("Action",),
    "Direction": ("Dir",),
    "Profile": ("Profile",),
    "Protocol": ("Protocol",),
    "LocalPort": ("LPort", "LPort2_10", "LPort2_20", "LPort2_24"),
    "RemotePort": ("RPort", "RPort2_10"),
    "IcmpType": ("ICMP4", "ICMP6"),
    "LocalAddress": ("LA4", "LA6"),
    "RemoteAddress": ("RA4", "RA6", "RA42", "RA62"),
    "Program": ("App",),
    "Service": ("Svc",),
    "InterfaceType": ("IFType",),
    "EdgeTraversalPolicy": ("Edge", "Defer"),
    "NewDisplayName": ("Name",),
    "Description": ("Desc",),
}


def new_rule(state: State, token: Token, call: Bound) -> list[Json]:
    _check(state, token, call)
    id = call.get("Name") or _new_id(state, call)
    store = registry.create(state, rules.KEY)
    if id.lower() in store["values"]:
        text = "Cannot create a file when that file already exists. "
        raise errors.cim(text, "Windows System Error 183", call.name, "ResourceExists")
    start: Pairs = [("Action", "Allow"), ("Active", "TRUE"), ("Dir", "In"), ("Name", call.get("DisplayName"))]
    if call.get("Group"):
        start.append(("EmbedCtxt", call.get("Group")))
    pairs = _changed(start, call)
    if not id or "|" in id:
        raise _invalid("The rule's name is invalid.", call)
    registry.set_value(store, id, "String", rules.render(pairs, state.facts.build))
    return [{"Name": id, "InstanceID": id, "DisplayName": call.get("DisplayName")}]


def _new_id(state: State, call: Bound) -> str:
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_OID, f"{state.facts.name} {state.time} {call.get('DisplayName')}")) + "}"


def set_rule(state: State, token: Token, call: Bound) -> list[Json]:
    _check(state, token, call)
    for id in _named(state, call):
        store = registry.create(state, rules.KEY)
        pairs = _changed(rules.parse(registry.value(store, id)), call)
        registry.set_value(store, id, "String", rules.render(pairs, state.facts.build))
    return []


def remove_rule(state: State, token: Token, call: Bound) -> list[Json]:
    _check(state, token, call)
    for id in _named(state, call):
        registry.remove_value(registry.create(state, rules.KEY), id)
    return []


def _named(state: State, call: Bound) -> list[str]:
    if not call.given("Name"):
        raise errors.not_modelled(f"{call.name} without -Name")
    store = registry.find(state, rules.KEY)
    for id in call.get("Name"):
        if registry.value(store, id) is None:
            raise errors.cim_not_found("MSFT_NetFirewallRule", "InstanceID", id, call.name)
    return list(call.get("Name"))


def _check(state: State, token: Token, call: Bound) -> None:
    unknown = set(call.parameters) - MODELLED
    if unknown:
        raise errors.not_modelled(f"{call.name} -{min(unknown)}")
    if not token.elevated:
        raise errors.cim("Access is denied. ", "Windows System Error 5", call.name, "PermissionDenied")
    if not services.runs(state, "MpsSvc"):
        text = "There are no more endpoints available from the endpoint mapper. "
        raise errors.cim(text, "Windows System Error 1753", call.name, "NotSpecified")


def _invalid(text: str, call: Bound) -> Refused:
    return errors.cim(text + " ", "HRESULT 0x80070057", call.name, "InvalidArgument")


def _changed(pairs: Pairs, call: Bound) -> Pairs:
    """The rule with what the call gives. Raises Refused where the rule as a whole would be none."""
    for parameter, keys in _KEYS.items():
        if not call.given(parameter):
            continue
        pairs = [pair for pair in pairs if pair[0] not in keys]
        try:
            pairs = pairs + _pairs(parameter, call.get(parameter), dict(pairs))
        except ValueError as error:
            raise _invalid(str(error), call) from None
    _check_whole(pairs, call)
    return pairs


def _check_whole(pairs: Pairs, call: Bound) -> None:
    has = dict(pairs)
    port_keys = any(key.startswith(("LPort", "RPort")) for key in has)
    if port_keys and has.get("Protocol") not in ("6", "17"):
        raise _invalid("Ports may only be specified for the protocols TCP and UDP.", call)
    if ("Edge" in has or "Defer" in has) and has.get("Dir") == "Out":
        raise _invalid("Edge traversal is for inbound rules only.", call)
    if any("|" in value for _, value in pairs) or not has.get("Name") or has["Name"].lower() == "all":
        raise _invalid("The display name, description or group is invalid.", call)


def _pairs(parameter: str, value: Any, has: dict[str, str]) -> Pairs:
    simple = _SIMPLE.get(parameter)
    if simple is not None:
        return simple(value)
    of_protocol = has.get("Protocol", "")
    if parameter in ("LocalPort", "RemotePort"):
        return rules.ports(value, parameter[0], of_protocol)
    if parameter == "IcmpType":
        return rules.icmp(value, of_protocol)
    return rules.addresses(value, parameter[0])


def _protocol(value: str) -> Pairs:
    number = rules.protocol(value)
    return [("Protocol", number)] if number else []


def _profile(value: list[str]) -> Pairs:
    if "NotApplicable" in value:
        raise ValueError("The profile is invalid.")
    return [] if "Any" in value else [("Profile", name) for name in ("Domain", "Private", "Public") if name in value]


def _action(value: str) -> Pairs:
    if value == "NotConfigured":
        raise ValueError("The action is invalid.")
    return [("Action", value)]


def _program(value: str) -> Pairs:
    if value.lower() == "any":
        return []
    if set(value) & set('/*?"<>|'):
        raise ValueError("The application name is invalid.")
    return [("App", value)]


def _interfaces(value: list[str]) -> Pairs:
    return [] if "Any" in value else [("IFType", word) for name, word in rules.INTERFACES.items() if name in value]


_SIMPLE: dict[str, Callable[[Any], Pairs]] = {
    "Enabled": lambda value: [("Active", value.upper())],
    "Action": _action,
    "Direction": lambda value: [("Dir", "In" if value == "Inbound" else "Out")],
    "Profile": _profile,
    "Protocol": _protocol,
    "Program": _program,
    "Service": lambda value: [] if value.lower() == "any" else [("Svc", value)],
    "InterfaceType": _interfaces,
    "EdgeTraversalPolicy": lambda value: rules.EDGES[value],
    "NewDisplayName": lambda value: [("Name", value)],
    "Description": lambda value: [("Desc", value)] if value else [],
}
COMMANDS: dict[str, Callable[[State, Token, Bound], list[Any]]] = {
    "New-NetFirewallRule": new_rule,
    "Set-NetFirewallRule": set_rule,
    "Remove-NetFirewallRule": remove_rule,
}
