"""One kind on the lab's whole machine, in process: plan, apply, plan again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cases import _secrets
from opdeploy.calls import Answer, Failure, Read
from opdeploy.guard import Session
from opdeploy.lab.windows.computer import Computer
from opdeploy.lab.windows.state import State
from opdeploy.model import Change
from opdeploy.planning import Desired, Managed, World, first_reads, machine, plan, plan_one, second_reads
from opdeploy.resources import KINDS
from opdeploy.windows import agent

SOURCE = agent.source(write=True)


def desired(kind: str, *given: dict[str, Any]) -> Desired:
    return Desired(tuple(Managed(KINDS[kind].model_validate(_secrets(one))) for one in given))


class Host:
    """A simulated machine as its engine sees it. A call that Windows refuses fails the test."""

    def __init__(self, state: State) -> None:
        self.computer = Computer(state)

    def plan(self, wanted: Desired) -> list[Change[Any]]:
        return plan(wanted, self._observe(wanted))

    def apply(self, wanted: Desired) -> list[Change[Any]]:
        """Each change made on what is known once those before it are read back."""
        changes = self.plan(wanted)
        for change in changes:
            world = self._observe(wanted)
            now = plan_one(Managed(change.resource), world)
            writes = [] if now.action == "none" else list(now.resource.writes(now, world.answers(now.resource)))
            for answer in self.computer.ask(writes, len(writes), source=SOURCE):
                assert not isinstance(answer, Failure), answer
        return changes

    def _observe(self, wanted: Desired) -> World:
        found = self._answers(first_reads(wanted))
        found |= self._answers(second_reads(wanted, found))
        return World(machine(found), found, Session())

    def _answers(self, reads: Sequence[Read]) -> dict[str, Answer]:
        answers = self.computer.ask(reads, source=SOURCE)
        return {read.key: answer for read, answer in zip(reads, answers, strict=True)}
