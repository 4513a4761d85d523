"""What an antivirus tells Windows Security Center of itself: `productState` of WMI's AntiVirusProduct (root/SecurityCenter2).

Microsoft documents none of its bits. As others read them (Idera, 'Identifying Antivirus Engine State', 2020), and as numbers
from the field agree: 0xF000 how it is, 0x0F00 whose it is, 0x00F0 whether its signatures are old. 397568 is Defender on, 393472
Defender off, 266240 another product on, 262144 another product off. 344064 (0x54000) was seen too (Stack Overflow 4700897), and
nobody says of what.
"""

from __future__ import annotations

from dataclasses import dataclass

STATES = {0: "off", 1: "on", 2: "snoozed", 3: "expired"}
OWNERS = {0: False, 1: True}


@dataclass(frozen=True)
class Product:
    """`state` of STATES; `windows_own`: Defender, whatever it is called there."""

    state: str
    windows_own: bool


def parse(number: int) -> Product:
    """Raises ValueError for bits that nobody has explained."""
    state, owner = number >> 12 & 0xF, number >> 8 & 0xF
    if state not in STATES or owner not in OWNERS:
        raise ValueError(f"productState {number:#08x}: expected 0 to 3 in 0xF000 and 0 or 1 in 0x0F00")
    return Product(STATES[state], OWNERS[owner])
