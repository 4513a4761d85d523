"""A PowerShell string literal, for eyes only: nothing that is shown is ever run.

Microsoft, 'about_Quoting_Rules': in single quotes nothing is expanded, and a quote is doubled. PowerShell takes four
typographic quotes for the plain one, so each of the five is doubled.
"""

from __future__ import annotations

import re


def literal(text: str) -> str:
    """The text as a single-quoted literal."""
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", text) + "'"
