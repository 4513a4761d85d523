"""Scheduled tasks, all in one folder of the Task Scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import model_validator

from opdeploy.inventory import Host
from opdeploy.resources.base import Resource
from opdeploy.resources.scheduled_task import ScheduledTask
from opdeploy.roles import Required, RoleSettings, with_key

NEEDS = ("support_account", "op_folders")  # a task may run as the account, and a program from a folder


class Settings(RoleSettings):
    folder: str = "\\OP\\"
    """The folder of the Task Scheduler that all of them are in; made with the first."""
    tasks: dict[str, ScheduledTask] = Required("each task's name, and below it what it runs, when, and as whom")
    """Each task's name, and below it what it runs, when, and as whom."""

    @model_validator(mode="before")
    @classmethod
    def _tasks_have_their_path(cls, given: Any) -> Any:
        tasks = given.get("tasks") if isinstance(given, Mapping) else None
        if not isinstance(tasks, Mapping):
            return given
        folder = str(given.get("folder", "\\OP\\")).rstrip("\\")
        return {**given, "tasks": with_key(tasks, "path", lambda name: f"{folder}\\{name}")}


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    yield from settings.tasks.values()
