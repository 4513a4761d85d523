"""What an antivirus is to leave alone: exclusions of Defender, or for any other product a step with the exact list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from opdeploy.resources.base import Resource
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.resources.manual_step import ManualStep

Antivirus = Literal["defender", "other"]
HOW = """In the console of the antivirus that guards this host, exclude from scanning:
{listed}
Take nothing wider: no whole drive, no folder above."""


def unscanned(exclusions: Sequence[DefenderExclusion], antivirus: Antivirus, whose: str, why: str) -> Iterator[Resource]:
    """`whose` begins the step's id: `op` makes `op-antivirus-exclusions`."""
    if antivirus == "defender":
        yield from exclusions
    elif exclusions:
        listed = "\n".join(f"- {exclusion.type}: {exclusion.value}" for exclusion in exclusions)
        yield ManualStep(
            id=f"{whose}-antivirus-exclusions",
            title="Exclude this from the antivirus' scans",
            who="the practice's IT",
            how=HOW.format(listed=listed),
            why=why,
        )
