"""What opdeploy does to a server stands in that server's own event log, for the practice's IT to see."""

from __future__ import annotations

from collections.abc import Iterator

from opdeploy.inventory import Host
from opdeploy.resources import work_log
from opdeploy.resources.base import Resource
from opdeploy.roles import RoleSettings


class Settings(RoleSettings):
    """It has none: the log is Application, the source opdeploy."""


def resources(settings: Settings, host: Host) -> Iterator[Resource]:
    yield work_log.TYPES
    yield work_log.MESSAGES
