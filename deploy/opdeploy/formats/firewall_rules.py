"""Firewall rules and profile settings as the registry keeps them.

MS-GPFAS 2.2.2.19 (the rule line and its keys), 2.2.2.1 to 2.2.2.18 (the values), 2.2.3 (profiles); MS-FASP for what
they mean. A line is `v2.31|Key=Value|…|`: no escaping, a repeated key is one more element, a missing key means any or
false. Read, it says what the NetSecurity cmdlets would show: IPv4, IPv6 and keywords in one list of addresses, single
ports and ranges in one list of ports, subnets with their bits. Whether a rule has an effect is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

ANY = "Any"
ALL_PROFILES = frozenset({"Domain", "Private", "Public"})
PROTOCOLS = {"TCP": 6, "UDP": 17, "ICMPv4": 1, "ICMPv6": 58}

# The order in which Windows writes keys, and their spelling; keys that only pass through are placed by it, too.
_ORDER = (
    "Action", "Active", "Dir", "Protocol", "Profile", "LPort", "RPort", "LPort2_10", "RPort2_10", "ICMP4", "ICMP6",
    "RA42", "RA62", "LA4", "RA4", "LA6", "RA6", "LPort2_20", "LPort2_24", "LPort2_28", "LPort2_29", "RPort2_20",
    "RPort2_24", "RPort2_28", "RPort2_29", "IF", "IFType", "App", "Svc", "RMauth", "RUAuth", "Name", "Desc", "LUOwn",
    "AppPkgId", "LUAuth", "LUAuth2_24", "EmbedCtxt", "Platform", "Platform2", "Edge", "Defer", "LSM", "LOM", "PCross",
    "AuthByPassOut", "Security", "Security2_9", "Security2", "TTK", "TTK2_22", "TTK2_27", "TTK2_28", "PFN",
)  # fmt: skip
_SPELLING = {key.lower(): key for key in _ORDER}
_RANK = {key: rank for rank, key in enumerate(_ORDER)}

_DIRECTIONS = {"in": "Inbound", "out": "Outbound"}
_ACTIONS = {"allow": "Allow", "block": "Block", "bypass": "ByPass"}
_BOOLEANS = {"true": True, "false": False}
_RAW_DIRECTIONS = {"Inbound": "In", "Outbound": "Out"}
_INTERFACE_TYPES = {"lan": "Wired", "wireless": "Wireless", "remoteaccess": "RemoteAccess"}
_RAW_INTERFACE_TYPES = {"Wired": "Lan"}
_EDGES: dict[str, tuple[tuple[str, str], ...]] = {
    "Block": (),
    "Allow": (("Edge", "TRUE"),),
    "DeferToApp": (("Edge", "TRUE"), ("Defer", "App")),
    "DeferToUser": (("Defer", "User"),),
}
_NO_ICMP = ""
_PROFILES = {profile.lower(): profile for profile in ALL_PROFILES}

# Cmdlet's word -> the elements that mean it. IPHTTPS has two spellings, always written together [FASP 2.2.14].
_LOCAL_PORT_WORDS = {
    "RPC": (("LPort", "RPC"),),
    "RPCEPMap": (("LPort", "RPC-EPMap"),),
    "Teredo": (("LPort", "Teredo"),),
    "IPHTTPSIn": (("LPort2_10", "IPTLSIn"), ("LPort2_10", "IPHTTPSIn")),
    "DHCP": (("LPort2_20", "DHCP"),),
    "PlayToDiscovery": (("LPort2_20", "Ply2Disc"),),
    "mDNS": (("LPort2_24", "mDNS"),),
    "CortanaOut": (("LPort2_28", "CortanaOut"),),
    "TcpCDPSvc": (("LPort2_29", "TcpCDPSvc"),),
}
_REMOTE_PORT_WORDS = {"IPHTTPSOut": (("RPort2_10", "IPTLSOut"), ("RPort2_10", "IPHTTPSOut"))}
_PORT_WORDS = {**_LOCAL_PORT_WORDS, **_REMOTE_PORT_WORDS}
_PORT_WORD_OF = {value.lower(): word for word, elements in _PORT_WORDS.items() for _, value in elements}

# Cmdlet's word -> the rule line's word and the suffix of its keys (RA4, RA42).
_ADDRESS_WORDS = {
    "LocalSubnet": ("LocalSubnet", ""),
    "DNS": ("DNS", ""),
    "DHCP": ("DHCP", ""),
    "WINS": ("WINS", ""),
    "DefaultGateway": ("DefaultGateway", ""),
    "Intranet": ("IntrAnet", "2"),
    "Internet": ("IntErnet", "2"),
    "PlayToDevice": ("Ply2Renders", "2"),
    "IntranetRemoteAccess": ("RmtIntrAnet", "2"),
    "CaptivePortal": ("CaptivePortal", "2"),
}
_ADDRESS_WORD_OF = {raw.lower(): word for word, (raw, _) in _ADDRESS_WORDS.items()}
_ADDRESS_SPELLING = {(word + family).lower(): word + family for word in _ADDRESS_WORDS for family in ("", "4", "6")}

_PORT_KEY = re.compile(r"([lr])port(2_\d+)?", re.IGNORECASE | re.ASCII)
_ADDRESS_KEY = re.compile(r"([lr])a([46])(\d?)", re.IGNORECASE | re.ASCII)
_VERSION = re.compile(r"v\d+\.\d+", re.IGNORECASE | re.ASCII)
_Pair = tuple[str, str]


@dataclass(frozen=True)
class Rule:
    """One rule. An empty set of ports, addresses, ICMP types, interfaces: any; None: any, or not given.

    `others`: keys that are kept verbatim (authentication, owner, package, platform, unknown ones), in Windows' order; a
    rule with some of them applies to less than its other fields say. A single element of a list that is not understood
    stands in its list as `KEY=VALUE`.
    """

    name: str
    version: str = "v2.10"
    action: str = "Allow"
    active: bool = False
    direction: str | None = None
    profiles: frozenset[str] = ALL_PROFILES
    protocol: int | None = None
    local_ports: frozenset[str] = frozenset()
    remote_ports: frozenset[str] = frozenset()
    icmp: frozenset[str] = frozenset()
    local_addresses: frozenset[str] = frozenset()
    remote_addresses: frozenset[str] = frozenset()
    program: str | None = None
    service: str | None = None
    display_name: str | None = None
    description: str | None = None
    group: str | None = None
    edge: str = "Block"
    interface_types: frozenset[str] = frozenset()
    interfaces: frozenset[str] = frozenset()
    others: tuple[_Pair, ...] = ()


def parse(name: str, line: str) -> Rule:
    """Read a rule line; `name` is the name of its registry value. Raises ValueError where it is no rule line."""
    version, *pieces = line.strip().removesuffix("|").split("|")
    if not _VERSION.fullmatch(version) or not pieces:
        raise ValueError(f"firewall rule {name!r} is no rule line (v2.31|Action=…|): it begins {line[:30]!r}")
    elements = _Elements(pieces)
    rule = Rule(
        name=name,
        version=version.lower(),
        action=elements.word("Action", _ACTIONS) or "",
        active=elements.flag("Active"),
        direction=elements.word("Dir", _DIRECTIONS),
        profiles=elements.words("Profile", _PROFILES) or ALL_PROFILES,
        protocol=elements.number("Protocol", 255),
        local_ports=frozenset(map(_port_element, elements.matching(_PORT_KEY, "l"))),
        remote_ports=frozenset(map(_port_element, elements.matching(_PORT_KEY, "r"))),
        local_addresses=_merged(elements.matching(_ADDRESS_KEY, "l")),
        remote_addresses=_merged(elements.matching(_ADDRESS_KEY, "r")),
        program=elements.text("App"),
        service=elements.text("Svc"),
        display_name=elements.text("Name"),
        description=elements.text("Desc"),
        group=elements.text("EmbedCtxt"),
        edge=elements.edge(),
        interface_types=elements.words("IFType", _INTERFACE_TYPES),
        interfaces=frozenset(value.upper() for _, value in elements.take("IF")),
    )
    icmp_key = _icmp_key(rule.protocol)
    types = frozenset(map(_icmp_element, elements.take(icmp_key))) if icmp_key != _NO_ICMP else frozenset()
    return replace(rule, icmp=types, others=elements.rest())


def render(rule: Rule) -> str:
    """Print the line as Windows would, subnets with a dotted mask. Raises ValueError on a value that holds a bar."""
    pairs = sorted(_pairs(rule), key=lambda pair: _RANK.get(pair[0], len(_RANK)))
    for key, value in pairs:
        if "|" in value or "\n" in value or "\r" in value:
            raise ValueError(f"firewall rule {rule.name!r}: {key} may hold no bar and no line end: {value!r}")
    return "|".join([rule.version, *(f"{key}={value}" if key else value for key, value in pairs), ""])


def meaning(rule: Rule) -> Rule:
    """The rule without what makes no difference: two lines mean the same if their meanings are equal.

    Version and the case of rule ids, paths and service names are no difference; order of keys is gone when read.
    """
    return replace(
        rule,
        name=rule.name.casefold(),
        version="",
        program=rule.program and rule.program.casefold(),
        service=rule.service and rule.service.casefold(),
    )


# --- one value, as a person or a cmdlet writes it --------------------------------------------------------------------


def address(text: str) -> str:
    """An address, subnet, range or keyword in its one spelling; `Any` for `*`.

    `10.0.0.0/255.255.255.0` = `10.0.0.0/24`, `10.0.0.7/32` = `10.0.0.7`, `localsubnet` = `LocalSubnet`.
    Raises ValueError.
    """
    word = text.strip()
    if word.lower() in ("*", "any"):
        return ANY
    if word.lower() in _ADDRESS_SPELLING:
        return _ADDRESS_SPELLING[word.lower()]
    try:
        return _numeric_address(word)
    except ValueError:
        raise ValueError(
            f"{text!r} is no address: expected 10.20.0.7, 10.20.0.0/24, 10.20.0.0/255.255.255.0, "
            f"10.20.0.5-10.20.0.9, the same of IPv6, or one of {', '.join(_ADDRESS_WORDS)}, {ANY}"
        ) from None


def port(text: str | int) -> str:
    """A port, a range of ports or a keyword in its one spelling; `Any` for `*`. Raises ValueError."""
    word = str(text).strip()
    if word.lower() in ("*", "any"):
        return ANY
    if spelling := _port_word(word):
        return spelling
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", word)
    ends = [int(end) for end in match.groups() if end] if match else []
    if not ends or max(ends) > 65535 or ends[0] > ends[-1]:
        words = ", ".join([*_PORT_WORDS, ANY])
        raise ValueError(f"{text!r} is no port: expected 0 to 65535, a range 5000-5020, or one of {words}")
    return str(ends[0]) if ends[0] == ends[-1] else f"{ends[0]}-{ends[-1]}"


def icmp(text: str | int) -> str:
    """An ICMP type, or `type:code`, in its one spelling: `8:*` = `8`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,3})(?::([0-9]{1,3}|\*))?", str(text).strip())
    numbers = [int(number) for number in match.groups() if number and number != "*"] if match else []
    if not numbers or max(numbers) > 255:
        raise ValueError(f"{text!r} is no ICMP type: expected a number to 255, 8, or with a code, 3:4")
    return ":".join(map(str, numbers))


def addresses(texts: Iterable[str]) -> frozenset[str]:
    """Several addresses as a rule has them: empty means any, a keyword of both families is one word.

    Raises ValueError as `address` does.
    """
    found = _unless_any(map(address, texts))
    words = {word for word in _ADDRESS_WORDS if word in found or {f"{word}4", f"{word}6"} <= found}
    return found - {word + family for word in words for family in "46"} | words


def ports(texts: Iterable[str | int]) -> frozenset[str]:
    """Several ports as a rule has them: empty means any. Raises ValueError as `port` does."""
    return _unless_any(map(port, texts))


def protocol(text: str | int) -> int | None:
    """A protocol's number from its number or one of the cmdlet's words; None: any. Raises ValueError."""
    word = str(text).strip().lower()
    named = {name.lower(): number for name, number in PROTOCOLS.items()}
    if word in ("*", "any"):
        return None
    if word in named:
        return named[word]
    if re.fullmatch("[0-9]{1,3}", word) and int(word) <= 255:
        return int(word)
    raise ValueError(f"{text!r} is no protocol: expected {', '.join(PROTOCOLS)}, {ANY} or a number to 255")


def _unless_any(values: Iterable[str]) -> frozenset[str]:
    found = frozenset(values)
    return frozenset() if ANY in found else found


def _port_word(word: str) -> str | None:
    spellings = {name.lower(): name for name in _PORT_WORDS}
    return spellings.get(word.lower()) or _PORT_WORD_OF.get(word.lower())


def _numeric_address(word: str) -> str:
    if "-" in word:
        first, last = (ip_address(end.strip()) for end in word.split("-", 1))
        if first.version != last.version or int(first) > int(last):
            raise ValueError(word)
        return str(first) if first == last else f"{first}-{last}"
    if "/" not in word:
        return str(ip_address(word))
    base, _, mask = word.partition("/")
    network = ip_network(f"{base.strip()}/{_bits(mask.strip())}", strict=False)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _bits(mask: str) -> str:
    """A dotted mask as its number of bits; ipaddress would take 0.0.0.255 for a mask as well."""
    if "." not in mask:
        return mask
    value = int(IPv4Address(mask))
    bits = value.bit_count()
    if value != (1 << 32) - (1 << 32 - bits):
        raise ValueError(mask)
    return str(bits)


# --- a line's elements into fields -----------------------------------------------------------------------------------


class _Elements:
    """The elements of a line, taken away by the fields that understand them; the rest stays."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._left = [_pair(piece) for piece in pieces if piece]

    def take(self, key: str) -> list[_Pair]:
        return self._remove([pair for pair in self._left if pair[0] == key])

    def matching(self, pattern: re.Pattern[str], side: str) -> list[_Pair]:
        matches = ((pattern.fullmatch(pair[0]), pair) for pair in self._left)
        return self._remove([pair for match, pair in matches if match and match[1].lower() == side])

    def text(self, key: str) -> str | None:
        first = next((pair for pair in self._left if pair[0] == key), None)
        if first is None:
            return None
        self._left.remove(first)
        return first[1]

    def word(self, key: str, table: Mapping[str, str]) -> str | None:
        value = self.text(key)
        return value if value is None else table.get(value.lower(), value)

    def words(self, key: str, table: Mapping[str, str]) -> frozenset[str]:
        return frozenset(table.get(value.lower(), f"{key}={value}") for _, value in self.take(key))

    def flag(self, key: str) -> bool:
        return _BOOLEANS[(self.text(key) or "").lower()] if self._is(key, "true", "false") else False

    def number(self, key: str, most: int) -> int | None:
        value = next((value for left, value in self._left if left == key), "")
        if not re.fullmatch("[0-9]{1,3}", value) or int(value) > most:
            return None
        return int(self.text(key) or "")

    def edge(self) -> str:
        if self._is("Edge", "true") and self._is("Defer", "app"):
            self.text("Edge"), self.text("Defer")
            return "DeferToApp"
        if self._is("Defer", "user"):
            self.text("Defer")
            return "DeferToUser"
        return "Allow" if self.flag("Edge") else "Block"

    def rest(self) -> tuple[_Pair, ...]:
        return tuple(sorted(self._left, key=lambda pair: (_RANK.get(pair[0], len(_RANK)), pair[0].lower())))

    def _is(self, key: str, *values: str) -> bool:
        return next((value.lower() for left, value in self._left if left == key), "") in values

    def _remove(self, pairs: list[_Pair]) -> list[_Pair]:
        self._left = [pair for pair in self._left if pair not in pairs]
        return pairs


def _pair(piece: str) -> _Pair:
    key, equals, value = piece.partition("=")
    return (_key(key), value) if equals else ("", piece)


def _key(key: str) -> str:
    """A key in Windows' spelling; hand-written rules have `app=` and `LPORT=`."""
    if match := _PORT_KEY.fullmatch(key):
        return f"{match[1].upper()}Port{match[2] or ''}"
    if _ADDRESS_KEY.fullmatch(key):
        return key.upper()
    return _SPELLING.get(key.lower(), key)


def _port_element(pair: _Pair) -> str:
    return _understood(port, pair)


def _icmp_element(pair: _Pair) -> str:
    return _understood(icmp, pair)


def _understood(read: Callable[[str], str], pair: _Pair) -> str:
    try:
        value = read(pair[1])
    except ValueError:
        value = ANY
    return "=".join(pair) if value == ANY else value


def _icmp_key(number: int | None) -> str:
    return {PROTOCOLS["ICMPv4"]: "ICMP4", PROTOCOLS["ICMPv6"]: "ICMP6"}.get(number or 0, _NO_ICMP)


def _merged(pairs: Iterable[_Pair]) -> frozenset[str]:
    """Addresses of both families in one set; a keyword that stands in one family only keeps its 4 or 6."""
    found: set[str] = set()
    families: dict[str, set[str]] = {}
    for key, value in pairs:
        family, suffix = key[2], key[3:]
        word = _ADDRESS_WORD_OF.get(value.lower())
        if word and _ADDRESS_WORDS[word][1] == suffix:
            families.setdefault(word, set()).add(family)
        else:
            found.add(_number_of_family(key, value))
    both = {word if len(seen) == 2 else word + min(seen) for word, seen in families.items()}
    return frozenset(found | both)


def _number_of_family(key: str, value: str) -> str:
    try:
        number = _numeric_address(value)
    except ValueError:
        return f"{key}={value}"
    return number if key[2:] == _family(number) else f"{key}={value}"


def _family(number: str) -> str:
    return "6" if ":" in number else "4"


# --- fields into elements --------------------------------------------------------------------------------------------


def _pairs(rule: Rule) -> Iterator[_Pair]:
    yield "Action", rule.action
    yield "Active", "TRUE" if rule.active else "FALSE"
    yield from _optional("Dir", rule.direction and _RAW_DIRECTIONS.get(rule.direction, rule.direction))
    yield from _optional("Protocol", None if rule.protocol is None else str(rule.protocol))
    if rule.profiles != ALL_PROFILES:
        yield from (_verbatim_or("Profile", profile) for profile in sorted(rule.profiles))
    for side, ports_, addresses_ in (
        ("L", rule.local_ports, rule.local_addresses),
        ("R", rule.remote_ports, rule.remote_addresses),
    ):
        yield from (pair for element in sorted(ports_, key=_natural) for pair in _port_pairs(side, element))
        yield from (pair for element in sorted(addresses_, key=_natural) for pair in _address_pairs(side, element))
    yield from (pair for element in sorted(rule.icmp, key=_natural) for pair in _icmp_pairs(rule, element))
    kinds = (_RAW_INTERFACE_TYPES.get(kind, kind) for kind in sorted(rule.interface_types))
    yield from (_verbatim_or("IFType", kind) for kind in kinds)
    yield from (("IF", interface) for interface in sorted(rule.interfaces))
    for key, value in (("App", rule.program), ("Svc", rule.service), ("Name", rule.display_name)):
        yield from _optional(key, value)
    yield from _optional("Desc", rule.description)
    yield from _optional("EmbedCtxt", rule.group)
    yield from _EDGES[rule.edge]
    yield from rule.others


def _optional(key: str, value: str | None) -> Iterator[_Pair]:
    if value is not None:
        yield key, value


def _verbatim_or(key: str, element: str) -> _Pair:
    """An element that was not understood holds its own key."""
    verbatim_key, equals, value = element.partition("=")
    return (verbatim_key, value) if equals else (key, element)


def _port_pairs(side: str, element: str) -> list[_Pair]:
    if element in _PORT_WORDS:
        return [(side + key[1:], value) for key, value in _PORT_WORDS[element]]
    return [_verbatim_or(f"{side}Port2_10" if "-" in element else f"{side}Port", element)]


def _address_pairs(side: str, element: str) -> list[_Pair]:
    word, families = _word_and_families(element)
    if word in _ADDRESS_WORDS:
        raw, suffix = _ADDRESS_WORDS[word]
        return [(f"{side}A{family}{suffix}", raw) for family in families]
    if "=" in element:
        return [_verbatim_or("", element)]
    return [(f"{side}A{_family(element)}", _with_dotted_mask(element))]


def _word_and_families(element: str) -> tuple[str, str]:
    if element in _ADDRESS_WORDS:
        return element, "46"
    return element[:-1], element[-1:]


def _with_dotted_mask(element: str) -> str:
    if "/" not in element or ":" in element:
        return element
    network = IPv4Network(element)
    return f"{network.network_address}/{network.netmask}"


def _icmp_pairs(rule: Rule, element: str) -> list[_Pair]:
    key = _icmp_key(rule.protocol)
    if key == _NO_ICMP:
        raise ValueError(f"firewall rule {rule.name!r}: ICMP types need protocol ICMPv4 or ICMPv6, not {rule.protocol}")
    return [_verbatim_or(key, element if ":" in element or "=" in element else f"{element}:*")]


def _natural(element: str) -> list[tuple[int, str]]:
    """Sorts numbers by size, so that a line always reads the same."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", element)]


# --- profiles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProfileSettings:
    """What applies to every rule of a profile; the defaults are what an absent value means [FASP A<13>]."""

    enabled: bool = True
    inbound_action: str = "Block"
    outbound_action: str = "Allow"
    shields_up: bool = False
    notifications: bool = True
    stealth_mode: bool = True
    unicast_responses: bool = True
    local_rules_merged: bool = True
    local_ipsec_rules_merged: bool = True
    disabled_interfaces: frozenset[str] = frozenset()
    log_file: str = r"%systemroot%\system32\LogFiles\Firewall\pfirewall.log"
    log_size_kb: int = 1024
    log_dropped: bool = False
    log_allowed: bool = False


def parse_profile(values: Mapping[str, object], logging: Mapping[str, object] | None = None) -> ProfileSettings:
    """The settings of one profile's key, by value name (case ignored), and of its sub-key `Logging`.

    DWORDs are numbers. Locally the private profile's key is called `StandardProfile`. A wrong type is a ValueError.
    """
    data = {name.lower(): value for name, value in [*values.items(), *(logging or {}).items()]}
    usual = ProfileSettings()
    return ProfileSettings(
        enabled=_dword(data, "EnableFirewall", 1) != 0,
        inbound_action=_profile_action(data, "DefaultInboundAction", usual.inbound_action),
        outbound_action=_profile_action(data, "DefaultOutboundAction", usual.outbound_action),
        shields_up=_dword(data, "DoNotAllowExceptions", 0) != 0,
        notifications=_dword(data, "DisableNotifications", 0) == 0,
        stealth_mode=_dword(data, "DisableStealthMode", 0) == 0,
        unicast_responses=_dword(data, "DisableUnicastResponsesToMulticastBroadcast", 0) == 0,
        local_rules_merged=_dword(data, "AllowLocalPolicyMerge", 1) != 0,
        local_ipsec_rules_merged=_dword(data, "AllowLocalIPsecPolicyMerge", 1) != 0,
        disabled_interfaces=frozenset(re.findall(r"\{[^}]*\}", str(data.get("disabledinterfaces", "")).upper())),
        log_file=str(data.get("logfilepath", usual.log_file)),
        log_size_kb=_dword(data, "LogFileSize", usual.log_size_kb),
        log_dropped=_dword(data, "LogDroppedPackets", 0) != 0,
        log_allowed=_dword(data, "LogSuccessfulConnections", 0) != 0,
    )


def _dword(data: Mapping[str, object], name: str, absent: int) -> int:
    value = data.get(name.lower(), absent)
    if not isinstance(value, int):
        raise ValueError(f"firewall profile: {name} should be a DWORD, found {value!r}")
    return value


def _profile_action(data: Mapping[str, object], name: str, absent: str) -> str:
    return "Block" if _dword(data, name, 1 if absent == "Block" else 0) else "Allow"
