"""A program's command line, quoted as the C runtime splits it.

Microsoft, 'Parsing C command-line arguments': arguments are split at blanks outside quotes; a backslash is itself
unless backslashes stand before a quote, then each pair is one and an odd one escapes the quote.
"""

from __future__ import annotations

import re


def argument(text: str) -> str:
    """One argument, quoted only where it must be. Raises ValueError on what no command line can carry."""
    if "\0" in text or "\n" in text or "\r" in text:
        raise ValueError("a line break or a null can't stand on a command line")
    if text and not re.search(r'[\s"]', text):
        return text
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
