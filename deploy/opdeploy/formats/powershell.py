"""PowerShell literals, for people to read: nothing that is sent is ever built from them (`windows/wire.py`).

Language specification 3.0, 2.3.5.2 'String literals': a verbatim string ends at any of five single-quote characters, and
each of them stands for itself when doubled.
"""

from __future__ import annotations

import re

_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")


def literal(value: str) -> str:
    """`value` as a verbatim string."""
    return "'" + _QUOTES.sub(lambda quote: quote[0] * 2, value) + "'"
