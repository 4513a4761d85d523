"""A firewall rule as the registry keeps it: ``v2.31|Action=Allow|Active=TRUE|…|`` [MS-GPFAS 2.2.2], and how the cmdlets' words
become its keys.

The lab's own reading and printing, apart from ``opdeploy.formats``. A rule is a list of (key, value) pairs.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

Pairs = list[tuple[str, str]]
KEY = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
ORDER = (
    "Action", "Active", "Dir", "Protocol", "Profile", "LPort", "LPort2_10", "LPort2_20", "LPort2_24", "RPort", "RPort2_10",
    "ICMP4", "ICMP6", "RA42", "RA62", "LA4", "RA4", "LA6", "RA6", "IFType", "IF", "App", "Svc", "Name", "Desc", "LUOwn",
    "AppPkgId", "LUAuth", "EmbedCtxt", "Platform", "Platform2", "Edge", "Defer",
)  # fmt: skip
PROTOCOLS = {"tcp": "6", "udp": "17", "icmpv4": "1", "icmpv6": "58"}
BOTH_FAMILIES = {name.lower(): name for name in ("LocalSubnet", "DNS", "DHCP", "WINS", "DefaultGateway")}
SECOND_KEYS = {
    "intranet": "IntrAnet",
    "internet": "IntErnet",
    "playtodevice": "Ply2Renders",
    "intranetremoteaccess": "RmtIntrAnet",
    "captiveportal": "CaptivePortal",
}
LOCAL_PORT_WORDS = {
    "rpc": ("6", [("LPort", "RPC")]),
    "rpcepmap": ("6", [("LPort", "RPC-EPMap")]),
    "teredo": ("17", [("LPort", "Teredo")]),
    "iphttpsin": ("6", [("LPort2_10", "IPTLSIn"), ("LPort2_10", "IPHTTPSIn")]),
    "playtodiscovery": ("17", [("LPort2_20", "Ply2Disc")]),
}
REMOTE_PORT_WORDS = {"iphttpsout": ("6", [("RPort2_10", "IPTLSOut"), ("RPort2_10", "IPHTTPSOut")])}
INTERFACES = {"Wired": "Lan", "Wireless": "Wireless", "RemoteAccess": "RemoteAccess"}
EDGES: dict[str, Pairs] = {
    "Block": [],
    "Allow": [("Edge", "TRUE")],
    "DeferToApp": [("Edge", "TRUE"), ("Defer", "App")],
    "DeferToUser": [("Defer", "User")],
}


def version(build: int) -> str:
    """The schema that a Windows of this build writes [MS-GPFAS A<1>]."""
    known = ((26100, "2.33"), (22621, "2.32"), (20348, "2.31"), (18362, "2.30"), (17763, "2.29"), (14393, "2.26"))
    return next((found for since, found in known if build >= since), "2.22")


def parse(line: str) -> Pairs:
    return [(key, value) for key, _, value in (part.partition("=") for part in line.split("|")[1:] if part)]


def render(pairs: Iterable[tuple[str, str]], build: int) -> str:
    """The line, keys in Windows' order; what is not known keeps its place among its own at the end."""
    places = {key: place for place, key in enumerate(ORDER)}
    ordered = sorted(pairs, key=lambda pair: places.get(pair[0], len(ORDER)))
    return f"v{version(build)}|" + "".join(f"{key}={value}|" for key, value in ordered)


def protocol(text: str) -> str:
    """The number as text, '' for any. Raises ValueError."""
    if text.lower() == "any":
        return ""
    number = PROTOCOLS.get(text.lower(), text)
    if not number.isdigit() or int(number) > 255:
        raise ValueError("The protocol is invalid.")
    return str(int(number))


def ports(texts: list[str], side: str, of_protocol: str) -> Pairs:
    """`side` is 'L' or 'R'. Raises ValueError."""
    if _is_any(texts):
        return []
    if of_protocol not in ("6", "17"):
        raise ValueError("Ports may only be specified for the protocols TCP and UDP.")
    words = LOCAL_PORT_WORDS if side == "L" else REMOTE_PORT_WORDS
    found: Pairs = []
    for text in texts:
        wanted, pairs = words.get(text.lower(), ("", []))
        if pairs and wanted != of_protocol:
            raise ValueError(f"The port keyword {text} does not go with the protocol.")
        found += pairs or [_port(text, side)]
    return found


def _port(text: str, side: str) -> tuple[str, str]:
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(number.isdigit() and int(number) <= 65535 for number in numbers) or int(numbers[0]) > int(numbers[-1]):
        raise ValueError("The port is invalid.")
    return (f"{side}Port2_10", text) if dash else (f"{side}Port", str(int(first)))


def icmp(texts: list[str], of_protocol: str) -> Pairs:
    if _is_any(texts):
        return []
    if of_protocol not in ("1", "58"):
        raise ValueError("ICMP types may only be specified for the protocols ICMPv4 and ICMPv6.")
    found: Pairs = []
    for text in texts:
        type, _, code = text.partition(":")
        if not re.fullmatch(r"\d{1,3}", type) or not re.fullmatch(r"(\d{1,3}|\*|Any|)", code) or int(type) > 255:
            raise ValueError("The ICMP type is invalid.")
        found.append(("ICMP4" if of_protocol == "1" else "ICMP6", f"{type}:{code if code.isdigit() else '*'}"))
    return found


def addresses(texts: list[str], side: str) -> Pairs:
    """`side` is 'L' or 'R'; keywords are for remote addresses only. Raises ValueError."""
    if _is_any(texts):
        return []
    return [pair for text in texts for pair in _address(text.strip(), side)]


def _address(text: str, side: str) -> Pairs:
    if side == "R" and text.lower() in BOTH_FAMILIES:
        word = BOTH_FAMILIES[text.lower()]
        return [("RA4", word), ("RA6", word)]
    if side == "R" and text.lower() in SECOND_KEYS:
        word = SECOND_KEYS[text.lower()]
        return [("RA42", word), ("RA62", word)]
    try:
        return [_numeric(text, side)]
    except ValueError:
        raise ValueError(
            "The address is invalid. Addresses may be specified as IP addresses, ranges, or subnets. Also, the following "
            "address keywords are allowed in certain places: LocalSubnet, DNS, DHCP, WINS, DefaultGateway, Internet, "
            "Intranet, IntranetRemoteAccess, PlayToDevice. Keywords can be restricted to IPv4 or IPv6 by appending a 4 or 6."
        ) from None


def _numeric(text: str, side: str) -> tuple[str, str]:
    if "/" in text:
        network = ipaddress.ip_network(text, strict=False)
        mask = network.netmask if network.version == 4 else network.prefixlen
        return f"{side}A{network.version}", f"{network.network_address}/{mask}"
    first, dash, last = text.partition("-")
    low = ipaddress.ip_address(first)
    if not dash:
        return f"{side}A{low.version}", str(low)
    high = ipaddress.ip_address(last)
    if high.version != low.version or int(high) < int(low):
        raise ValueError
    return f"{side}A{low.version}", f"{low}-{high}"


def _is_any(texts: list[str]) -> bool:
    return [text.lower() for text in texts] in (["any"], ["*"], [])
