"""What an antivirus is to leave alone: exclusions of Defender, or for any other product a step with the exact list.

`detected`: the host says which of the two it is (`resources.defender`), so both are asked for, and one is not applicable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from opdeploy.resources.base import Resource
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.resources.manual_step import ManualStep

Antivirus = Literal["detected", "defender", "other"]
HOW = """In the console of the antivirus that guards this host, exclude from scanning:
{listed}
Take nothing wider: no whole drive, no folder above."""


def unscanned(exclusions: Sequence[DefenderExclusion], antivirus: Antivirus, whose: str, why: str) -> Iterator[Resource]:
    """`whose` begins the step's id: `op` makes `op-antivirus-exclusions`."""
    detected = antivirus == "detected"
    if antivirus != "other":
        yield from (exclusion.model_copy(update={"only_where_active": detected}) for exclusion in exclusions)
    if antivirus != "defender" and exclusions:
        listed = "\n".join(f"- {exclusion.type}: {exclusion.value}" for exclusion in exclusions)
        yield ManualStep(
            id=f"{whose}-antivirus-exclusions",
            title="Exclude this from the antivirus' scans",
            who="the practice's IT",
            how=HOW.format(listed=listed),
            why=why,
            unless_defender=detected,
        )
