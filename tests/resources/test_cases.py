"""The case files: each kind's specification, as data.

A case says what is desired, what the host answers, and what must come of it: verdict, changes, the very writes, the plan's
text. A field that is missing or unknown fails, so no case can say less than it seems to.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from cases import Case, load, planned, write_lines
from opdeploy.rendering import show
from opdeploy.reports.text import change_lines

CASES = load(Path(__file__).parent.parent / "cases")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    if case.refused:
        with pytest.raises(ValidationError, match=case.refused):
            case.resource()
        return
    change, answers = planned(case)
    assert change.verdict == case.verdict
    assert change.action == case.action
    assert {name: [show(item.before), show(item.after)] for name, item in change.properties.items()} == case.changes
    assert list(change.known_after_apply) == case.known_after_apply
    assert write_lines(change, answers) == case.writes
    assert "\n".join(change_lines(change)) == case.plan.rstrip()
