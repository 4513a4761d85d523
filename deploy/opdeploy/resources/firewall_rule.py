"""A rule of the Windows Firewall, by its name: the id, not the text that the console shows.

All local rules and those of a group policy are read at once, raw from the registry, with the profiles that decide whether
a rule has an effect (formats.md 1; MS-GPFAS). Written with the NetSecurity cmdlets, by name. A list that is `Any` stands
for no restriction. What a host has may be more than an inventory may ask for: the refusals are for desired rules only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ValidationError, ValidationInfo, model_validator

from opdeploy.calls import Write, cmdlet_read, cmdlet_write, registry_read
from opdeploy.formats import firewall_rules
from opdeploy.formats.firewall_rules import ProfileSettings, Rule
from opdeploy.model import Change, Machine, NotOurs, Unknown
from opdeploy.resources.base import AS_SET, IGNORE_CASE, KEY, Answers, Reads, Scoped, properties
from opdeploy.resources.values import observed

LOCAL = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
POLICY = r"SOFTWARE\Policies\Microsoft\WindowsFirewall"
PROFILE_VALUES = ["EnableFirewall", "DoNotAllowExceptions", "AllowLocalPolicyMerge"]
LOCAL_KEYS = {"domain": "DomainProfile", "private": "StandardProfile", "public": "PublicProfile"}
POLICY_KEYS = {"domain": "DomainProfile", "private": "PrivateProfile", "public": "PublicProfile"}

ANY = firewall_rules.ANY
ANY_OF_THEM = (ANY,)
CMDLET_WORDS = {
    "inbound": "Inbound", "outbound": "Outbound", "allow": "Allow", "block": "Block", "bypass": "ByPass",
    "domain": "Domain", "private": "Private", "public": "Public", "wired": "Wired", "wireless": "Wireless",
    "remote_access": "RemoteAccess", "defer_to_app": "DeferToApp", "defer_to_user": "DeferToUser",
}  # fmt: skip
_OUR_WORDS = {word.lower(): ours for ours, word in CMDLET_WORDS.items()}
PARAMETERS = {
    "display_name": "DisplayName", "description": "Description", "group": "Group", "direction": "Direction",
    "action": "Action", "enabled": "Enabled", "profiles": "Profile", "protocol": "Protocol",
    "local_ports": "LocalPort", "remote_ports": "RemotePort", "icmp_types": "IcmpType",
    "local_addresses": "LocalAddress", "remote_addresses": "RemoteAddress", "program": "Program",
    "service": "Service", "interface_types": "InterfaceType", "edge_traversal": "EdgeTraversalPolicy",
}  # fmt: skip
PATTERN = re.compile(r"[*?\[\]]")  # the cmdlets take these for a pattern


# ---------------------------------------------------------------- values, as a person writes them


def _word(value: Any) -> Any:
    """Ours for a word in the cmdlets' spelling or any case: `RemoteAccess`, `DeferToApp`, `Inbound`."""
    return _OUR_WORDS.get(value.replace("_", "").lower(), value) if isinstance(value, str) else value


def _in_order(values: Iterable[str]) -> tuple[str, ...]:
    """Numbers by size, so that a plan always reads the same; nothing at all is `Any`."""
    return tuple(sorted(values, key=lambda text: ([int(n) for n in re.findall(r"\d+", text)], text))) or ANY_OF_THEM


def _several(read: Callable[[list[Any]], Collection[str]]) -> BeforeValidator:
    def canonical(value: Any, info: ValidationInfo) -> Any:
        if value is None or observed(info):
            return value
        items = list(value) if isinstance(value, list | tuple) else [value]
        if not items:
            raise ValueError(f"an empty list would mean any: write {ANY}, or leave it out")
        return _in_order(read(items))

    return BeforeValidator(canonical)


def _choices(*choices: str) -> Callable[[list[Any]], Collection[str]]:
    """One or more of a few words; all of them together are any."""

    def read(items: list[Any]) -> Collection[str]:
        words = {_word(item) for item in items}
        if any(str(word).lower() in ("any", "all") for word in words) or words == set(choices):
            return ()
        if wrong := sorted(map(str, words - set(choices))):
            raise ValueError(f"{wrong[0]!r} is none of {', '.join(choices)}, {ANY}")
        return words

    return read


def _local_addresses(items: list[Any]) -> Collection[str]:
    found = firewall_rules.addresses(map(str, items))
    if words := [address for address in sorted(found) if not re.search("[.:]", address)]:
        raise ValueError(f"{words[0]} stands for remote addresses only")
    return found


def _icmp_types(items: list[Any]) -> Collection[str]:
    if any(str(item).strip().lower() in ("any", "*") for item in items):
        return ()
    return {firewall_rules.icmp(item) for item in items}


def _protocol(value: Any, info: ValidationInfo) -> Any:
    if value is None or observed(info):
        return value
    return protocol_word(firewall_rules.protocol(value))


def protocol_word(number: int | None) -> str:
    words = {number: word for word, number in firewall_rules.PROTOCOLS.items()}
    return ANY if number is None else words.get(number, str(number))


def _plain(text: str, info: ValidationInfo) -> str:
    if not observed(info) and re.search(r"[|\x00-\x1f]", text):
        raise ValueError("may hold no bar '|' and no line end: a rule line can't keep them")
    return text


def _program(text: str, info: ValidationInfo) -> str:
    if observed(info):
        return text
    if text.lower() == "any":
        return ANY
    if not text.strip() or re.search(r'[/*?"<>|\x00-\x1f]', text):
        raise ValueError(f'{text!r} is no program: a path without quotes and without / * ? " < > |, System, or {ANY}')
    return text


def _service(text: str, info: ValidationInfo) -> str:
    if observed(info) or re.fullmatch(r'[^\\/|*?"<>\x00-\x1f]*[^\\/|*?"<>\x00-\x1f\s]|\*', text):
        return ANY if text.lower() == "any" else text
    raise ValueError(f"{text!r} is no service's short name (termservice), nor {ANY}")


Words = tuple[str, ...]
Ports = Annotated[Words | None, _several(firewall_rules.ports), AS_SET]
PlainText = Annotated[str, AfterValidator(_plain)]


# ---------------------------------------------------------------- the rule


class FirewallRule(Scoped):
    KIND = "firewall_rule"
    EXAMPLE = """
        - name: OP-Firebird-In
          group: OP
          direction: inbound
          action: allow
          protocol: TCP
          local_ports: [3050, 3051]
          remote_addresses: [10.20.0.0/24]
    """
    SCOPE = "group"
    ABSENT_WHEN: ClassVar[tuple[str, ...]] = ("NoServiceFoundForGivenName",)
    REPLACE_ON: ClassVar[tuple[str, ...]] = ("group",)  # no cmdlet moves a rule into another group

    name: Annotated[str, KEY]
    """Its id, which Windows' console does not show; the only thing that names one rule."""
    display_name: PlainText | None = None
    """The text that Windows' console shows."""
    description: PlainText | None = None
    """What it is for."""
    group: PlainText | None = None
    """The group it stands in; a new one means a new rule."""
    direction: Annotated[Literal["inbound", "outbound"] | None, BeforeValidator(_word)] = None
    """Which way the connection is opened."""
    action: Annotated[Literal["allow", "block", "bypass"] | None, BeforeValidator(_word)] = None
    """What happens to traffic that it speaks of."""
    enabled: bool | None = None
    """Whether it counts."""
    profiles: Annotated[Words | None, _several(_choices("domain", "private", "public")), AS_SET] = None
    """In which kinds of network; `any` is all."""
    protocol: Annotated[str | None, BeforeValidator(_protocol)] = None
    """TCP, UDP, ICMPv4, ICMPv6, `any` or a number."""
    local_ports: Ports = None
    """Ports here: numbers, ranges 5000-5020, RPC, RPCEPMap … or `any`."""
    remote_ports: Ports = None
    """Ports over there, in the same forms."""
    icmp_types: Annotated[Words | None, _several(_icmp_types), AS_SET] = None
    """Types of ICMP messages, with a code `3:4`, or `any`."""
    local_addresses: Annotated[Words | None, _several(_local_addresses), AS_SET] = None
    """Addresses here: single ones, networks, ranges, or `any`."""
    remote_addresses: Annotated[Words | None, _several(lambda i: firewall_rules.addresses(map(str, i))), AS_SET] = None
    """Addresses over there, in the same forms, or LocalSubnet, DNS, DHCP … or `any`."""
    program: Annotated[Annotated[str, AfterValidator(_program)] | None, IGNORE_CASE] = None
    """The program's path, `System` for the kernel, or `any`."""
    service: Annotated[Annotated[str, AfterValidator(_service)] | None, IGNORE_CASE] = None
    """A service's short name, or `any`."""
    interface_types: Annotated[Words | None, _several(_choices("wired", "wireless", "remote_access")), AS_SET] = None
    """Kinds of network adapters; `any` is all."""
    edge_traversal: Annotated[Literal["block", "allow", "defer_to_app", "defer_to_user"] | None, BeforeValidator(_word)] = None
    """Whether traffic through a NAT device is let in."""

    @model_validator(mode="after")
    def _sensible(self, info: ValidationInfo) -> Self:
        if self.absent or observed(info):
            return self
        if not 0 < len(self.name) < 512 or self.name.lower() == "all" or re.search(r"[|*?\[\]\x00-\x1f]", self.name):
            raise ValueError(r"a rule's name has 1 to 511 characters, none of | * ? [ ], and is not 'all'")
        if self.action == "bypass":
            raise ValueError("action bypass needs authentication settings, which are not managed here: allow or block")
        if self.group is not None and self.group != self.group.strip():
            raise ValueError("group must not begin or end with a blank")
        if wrong := self.contradiction() or self.too_open():
            raise ValueError(wrong)
        return self

    def too_open(self) -> str:
        """Inbound allow without a local port, ICMP type, program or service lets anything in."""
        narrowed = any(
            value not in (None, ANY, ANY_OF_THEM, "*")
            for value in (self.local_ports, self.icmp_types, self.program, self.service)
        )
        if self.direction == "inbound" and self.action == "allow" and not narrowed:
            return "refused: it lets everything in; name local_ports (icmp_types for ICMP), program or service"
        return ""

    def contradiction(self) -> str:
        """What Windows would refuse; a property left out contradicts nothing."""
        ports = [name for name in ("local_ports", "remote_ports") if getattr(self, name) not in (None, ANY_OF_THEM)]
        if ports and self.protocol not in (None, "TCP", "UDP"):
            return f"{ports[0]} need protocol TCP or UDP, not {self.protocol}"
        if self.icmp_types not in (None, ANY_OF_THEM) and self.protocol not in (None, "ICMPv4", "ICMPv6"):
            return f"icmp_types need protocol ICMPv4 or ICMPv6, not {self.protocol}"
        if self.edge_traversal not in (None, "block") and self.direction == "outbound":
            return "edge_traversal is for inbound rules only"
        return ""

    def reads(self) -> Reads:
        return shared_reads()

    @classmethod
    def scope_reads(cls, of: str) -> Reads:
        return shared_reads()

    @classmethod
    def found(cls, of: str, answers: Answers) -> Iterator[FirewallRule]:
        """The local rules of a group; of a line that can't be read the raw text decides."""
        for name, line in Firewall(answers).local.values():
            if f"|EmbedCtxt={of}|" in f"{line}|":
                yield cls(name=name, absent=True)

    def actual(self, answers: Answers) -> Self | None:
        firewall = Firewall(answers)
        firewall.must_be_known(self.name)
        rule = firewall.rule(self.name)
        return self._observed(rule) if rule else None

    def _observed(self, rule: Rule) -> Self:
        try:
            return type(self).observed(name=self.name, **observed_properties(rule))
        except ValidationError as error:
            named = ", ".join(str(problem["loc"][0]) for problem in error.errors())
            raise Unknown(f"its line in the registry says something of its {named} that is not known") from None

    def hindrance(self, change: Change[Any], answers: Answers, machine: Machine) -> str:
        firewall = Firewall(answers)
        if policy := self._set_by_policy(change, firewall):
            return NotOurs(policy)
        if change.verdict == "in_sync":
            idle = firewall.without_effect(self.name, change.actual) if change.actual and not self.absent else ""
            return NotOurs(f"right, but without effect: {idle}") if idle else ""
        if not firewall.running:
            return NotOurs("the firewall's service MpsSvc is not running: until it does, no rule can be changed")
        if change.action == "remove":
            return "its name holds one of * ? [ ], which the cmdlets take for a pattern" if PATTERN.search(self.name) else ""
        return self._cannot_be_made(change) or self._cannot_be_restated(change, firewall)

    def note(self, change: Change[Any], answers: Answers) -> str:
        if change.action == "remove":
            return ""
        idle = Firewall(answers).without_effect(self.name, self.outcome(change))
        return f"it will be without effect: {idle}" if idle else ""

    def _set_by_policy(self, change: Change[Any], firewall: Firewall) -> str:
        if not firewall.by_policy(self.name):
            return ""
        if change.verdict != "in_sync":
            return "set by a group policy: a rule of this name comes from one, change it there"
        same_name = firewall.two_rules(self.name)
        return "set by a group policy, and a local rule of the same name says otherwise" if same_name else ""

    def _cannot_be_made(self, change: Change[Any]) -> str:
        if change.action == "create" and not (self.direction and self.action):
            return "it is not there, and without direction and action it can't be made"
        outcome = self.outcome(change)
        return outcome.contradiction() or (outcome.too_open() if outcome.enabled else "")

    def _cannot_be_restated(self, change: Change[Any], firewall: Firewall) -> str:
        """A replace makes the rule anew: whatever we can't tell the cmdlet would be lost."""
        rule = firewall.rule(self.name) if change.action == "replace" else None
        lost = unmanaged(rule) if rule else []
        reason = "refused: a new group means to make it anew, and these settings of it would be lost: "
        return reason + ", ".join(lost) if lost else ""

    def outcome(self, change: Change[Any]) -> FirewallRule:
        """The rule that the change would leave behind, every property told."""
        before = change.actual or type(self).observed(name=self.name, **AS_MADE)
        return before.model_copy(update=_given(self))

    def writes(self, change: Change[Any], answers: Answers) -> Iterator[Write]:
        if change.action in ("remove", "replace"):
            yield cmdlet_write("Remove-NetFirewallRule", Name=self.name)
        if change.action == "create":
            yield self._new(self)
        if change.action == "replace":
            yield self._new(self.outcome(change))
        if change.action == "update":
            yield self._set(change)

    def _new(self, rule: FirewallRule) -> Write:
        """Any and nothing are said by silence: `-Service Any` would be a service of that name to some."""
        told = {name: value for name, value in _given(rule).items() if name in TOLD or value != AS_MADE.get(name)}
        given = {"display_name": self.name, **{name: value for name, value in told.items() if value != ""}}
        return cmdlet_write("New-NetFirewallRule", Name=self.name, **_parameters(given))

    def _set(self, change: Change[Any]) -> Write:
        """With another protocol its ports and ICMP types are told again: what Windows keeps of them must not be a guess."""
        outcome = self.outcome(change)
        of_protocol = ("local_ports", "remote_ports", "icmp_types") if change.touches("protocol") else ()
        also = {name for name in of_protocol if getattr(outcome, name) != ANY_OF_THEM}
        told = _given(outcome).items()
        given = _parameters({name: value for name, value in told if change.touches(name) or name in also})
        renamed = {"NewDisplayName" if name == "DisplayName" else name: value for name, value in given.items()}
        return cmdlet_write("Set-NetFirewallRule", Name=self.name, **renamed)


# What New-NetFirewallRule makes where a parameter is left out.
AS_MADE: dict[str, Any] = {
    "description": "", "group": "", "direction": "inbound", "action": "allow", "enabled": True, "profiles": ANY_OF_THEM,
    "protocol": ANY, "local_ports": ANY_OF_THEM, "remote_ports": ANY_OF_THEM, "icmp_types": ANY_OF_THEM,
    "local_addresses": ANY_OF_THEM, "remote_addresses": ANY_OF_THEM, "program": ANY, "service": ANY,
    "interface_types": ANY_OF_THEM, "edge_traversal": "block",
}  # fmt: skip
TOLD = ("direction", "action", "enabled")  # what a reader of the command should not have to know


def observed_properties(rule: Rule) -> dict[str, Any]:
    """A parsed line in our words."""
    return {
        "display_name": rule.display_name or "",
        "description": rule.description or "",
        "group": rule.group or "",
        "direction": rule.direction,
        "action": rule.action,
        "enabled": rule.active,
        "profiles": _in_order(map(_word, () if rule.profiles == firewall_rules.ALL_PROFILES else rule.profiles)),
        "protocol": protocol_word(rule.protocol),
        "local_ports": _in_order(rule.local_ports),
        "remote_ports": _in_order(rule.remote_ports),
        "icmp_types": _in_order(rule.icmp),
        "local_addresses": _in_order(rule.local_addresses),
        "remote_addresses": _in_order(rule.remote_addresses),
        "program": rule.program or ANY,
        "service": rule.service or ANY,
        "interface_types": _in_order(map(_word, rule.interface_types)),
        "edge_traversal": rule.edge,
    }


def unmanaged(rule: Rule) -> list[str]:
    """What a line says that the properties above don't: its keys, and list elements that were not understood."""
    lists = (rule.profiles, rule.local_ports, rule.remote_ports, rule.icmp, rule.local_addresses, rule.remote_addresses)
    elements = [element for listed in (*lists, rule.interface_types) for element in sorted(listed) if "=" in element]
    interfaces = ["IF"] if rule.interfaces else []
    bypass = ["Action=ByPass"] if rule.action == "ByPass" else []
    return [*bypass, *interfaces, *elements, *dict.fromkeys(key or value for key, value in rule.others)]


def _given(rule: FirewallRule) -> dict[str, Any]:
    return {name: value for name in properties(FirewallRule) if (value := getattr(rule, name)) is not None}


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    return {PARAMETERS[name]: _argument(name, value) for name, value in given.items()}


def _argument(name: str, value: Any) -> Any:
    if name == "enabled":
        return "True" if value else "False"
    if name in ("direction", "action", "edge_traversal"):
        return CMDLET_WORDS[value]
    if isinstance(value, tuple):
        return [CMDLET_WORDS.get(item, item) for item in value]
    return value


# ---------------------------------------------------------------- the firewall around it


def shared_reads() -> Reads:
    """The same for every rule, hence asked once."""
    return {
        "rules": registry_read(LOCAL + r"\FirewallRules"),
        "profiles": registry_read(LOCAL, values=PROFILE_VALUES, depth=1),
        "policy_rules": registry_read(POLICY + r"\FirewallRules"),
        "policy_profiles": registry_read(POLICY, values=PROFILE_VALUES, depth=1),
        "firewall_service": cmdlet_read("Get-Service", ["Status"], Name="MpsSvc"),
    }


class Firewall:
    """What the shared reads say: the rules of both stores, the profiles in force, whether anybody enforces them."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def must_be_known(self, name: str) -> None:
        """Raises `Unknown` where that rule could not be judged."""
        _ = self.running, self.in_force, self.two_rules(name)

    @cached_property
    def local(self) -> dict[str, tuple[str, str]]:
        return _lines(self._answers.rules)

    @cached_property
    def policy(self) -> dict[str, tuple[str, str]]:
        return _lines(self._answers.policy_rules)

    @cached_property
    def running(self) -> bool:
        rows = self._answers.firewall_service
        return bool(rows) and rows[0]["Status"] == "Running"

    @cached_property
    def in_force(self) -> dict[str, ProfileSettings]:
        """Each profile's settings, the policy's over the local ones; merging is the policy's alone to say. [GPFAS 2.2.3]"""
        local, policy = _profile_keys(self._answers.profiles), _profile_keys(self._answers.policy_profiles)
        found = {}
        for profile, key in LOCAL_KEYS.items():
            settings = {name: value for name, value in local.get(key.lower(), {}).items() if name != "allowlocalpolicymerge"}
            try:
                found[profile] = firewall_rules.parse_profile({**settings, **_policy_settings(policy, profile)})
            except ValueError as error:
                raise Unknown(str(error)) from error
        return found

    def by_policy(self, name: str) -> bool:
        return name.lower() in self.policy

    def rule(self, name: str) -> Rule | None:
        """The rule of that name, a group policy's before a local one. Raises `Unknown` where its line is no rule."""
        return _rule(self.policy.get(name.lower()) or self.local.get(name.lower()))

    def two_rules(self, name: str) -> bool:
        """Whether both stores have it and mean different rules: Windows would apply both."""
        policy, local = _rule(self.policy.get(name.lower())), _rule(self.local.get(name.lower()))
        if policy is None or local is None:
            return False
        return firewall_rules.meaning(policy) != firewall_rules.meaning(local)

    def without_effect(self, name: str, rule: FirewallRule) -> str:
        """Why a rule does nothing, '' if it does something in at least one of its profiles."""
        if not rule.enabled:
            return ""
        if not self.running:
            return "the firewall's service MpsSvc is not running"
        if (found := self.rule(name)) and ("AppPkgId", "") in found.others:
            return "it is for the app package '' (AppPkgId=), and Windows ignores such a rule"
        profiles = LOCAL_KEYS if rule.profiles == ANY_OF_THEM else rule.profiles or ()
        reasons = {profile: self._idle(self.in_force[profile], name, rule) for profile in profiles if profile in LOCAL_KEYS}
        if not all(reasons.values()):
            return ""
        told = {why: ", ".join(p for p, reason in reasons.items() if reason == why) for why in reasons.values()}
        return "; ".join(f"{why} in profile {where}" for why, where in told.items())

    def _idle(self, settings: ProfileSettings, name: str, rule: FirewallRule) -> str:
        if not settings.enabled:
            return "the firewall is off"
        if not settings.local_rules_merged and not self.by_policy(name):
            return "a group policy lets no local rule count (AllowLocalPolicyMerge)"
        if settings.shields_up and (rule.direction, rule.action) == ("inbound", "allow"):
            return "all incoming connections are blocked (DoNotAllowExceptions)"
        return ""


def _lines(answer: Mapping[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Name and line of each rule, by the name in lower case."""
    values = (answer or {}).get("values", {})
    return {name.lower(): (name, str(data) if kind == "String" else "") for name, (kind, data) in values.items()}


def _rule(found: tuple[str, str] | None) -> Rule | None:
    try:
        return firewall_rules.parse(*found) if found else None
    except ValueError as error:
        raise Unknown(str(error)) from error


def _profile_keys(answer: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """A store's profiles by key: their values by name, both in lower case."""
    keys = (answer or {}).get("subkeys", {})
    if closed := [name for name, key in keys.items() if key is None and name.lower().endswith("profile")]:
        raise Unknown(f"the registry key {closed[0]} of the firewall may not be read")
    return {
        name.lower(): {value.lower(): data for value, (_, data) in key["values"].items()} for name, key in keys.items() if key
    }


def _policy_settings(policy: Mapping[str, dict[str, Any]], profile: str) -> dict[str, Any]:
    """`StandardProfile` counts for private and public where neither has a key of its own."""
    own = policy.get(POLICY_KEYS[profile].lower())
    either = any(POLICY_KEYS[p].lower() in policy for p in ("private", "public"))
    return own or (policy.get("standardprofile", {}) if profile != "domain" and not either else {})
