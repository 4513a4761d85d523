"""The practice to copy, and the environment in which it is in order: the variables that the head of its hosts.yml names."""

from __future__ import annotations

import re
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example-practice"
HEAD = (EXAMPLE / "hosts.yml").read_text(encoding="utf-8").partition("\nall:\n")[0]
ENVIRONMENT = {name: f"https://{name.lower()}.example" for name in re.findall(r"\b(?:OP|NEXHEALTH)_\w+", HEAD)}
"""Each another value, and an address, which a link has to be."""
