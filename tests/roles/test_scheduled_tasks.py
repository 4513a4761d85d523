"""Tasks in one folder, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from roles_at_hand import refused, shipped

PLACES = [("", "\\OP\\"), ("folder: '\\Practice', ", "\\Practice\\"), ("folder: '\\', ", "\\")]


@pytest.mark.parametrize(("given", "path"), PLACES)
def test_a_task_stands_in_the_folder(tmp_path: Path, given: str, path: str) -> None:
    task = "triggers: [{when: daily, at: '02:00'}], actions: [{command: backup.exe}], principal: LOCAL SERVICE"
    assert shipped(tmp_path, f"scheduled_tasks: {{{given}tasks: {{Nightly backup: {{{task}}}}}}}") == (
        f"scheduled_task {path}Nightly backup  [scheduled_tasks]\n"
        "    triggers daily at 02:00\n"
        "    actions backup.exe\n"
        "    principal LOCAL SERVICE (S-1-5-19)\n"
        "    logon_type service\n"
    )


def test_what_a_task_can_not_be(tmp_path: Path) -> None:
    given = """
        scheduled_tasks:
          tasks:
            a/b: { absent: true }
            noon: { triggers: [{when: daily, at: 12:00}], actions: [{command: x.exe}], principal: SYSTEM }
            stored: { actions: [{command: x.exe}], principal: .\\op, logon_type: password }
            misspelt: { principle: SYSTEM }
    """
    told = refused(tmp_path, given)
    assert "YAML reads this as another number (12:30 is 750, 0123 is 83) (write it in quotes)" in told
    assert "scheduled_tasks.tasks.a/b: expected a task's folder and name" in told
    assert "scheduled_tasks.tasks.stored: stored passwords are refused for now" in told
    assert "scheduled_tasks.tasks.misspelt.principle: no such setting (did you mean principal?)" in told
