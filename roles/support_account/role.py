"""The account that a vendor's support works with: no administrator unless the inventory says so, only what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from opdeploy.inventory import Host
from opdeploy.model import Principal, Secret
from opdeploy.resources.base import Resource
from opdeploy.resources.group_members import GroupMembers
from opdeploy.resources.local_user import Instant, LocalUser
from opdeploy.resources.user_right import UserRight
from opdeploy.roles import Required, RoleSettings

ADMINISTRATORS = Principal.of_sid("S-1-5-32-544")
REMOTE_DESKTOP_USERS = Principal.of_sid("S-1-5-32-555")
EVENT_LOG_READERS = Principal.of_sid("S-1-5-32-573")


class Settings(RoleSettings):
    name: str = Required("the account's name without a domain, such as op-support")
    password: Secret = Required("each host its own: {from_env: NAME} or {from_file: PATH}")
    full_name: str | None = None
    description: str | None = None
    enabled: bool = True
    password_never_expires: bool = True
    user_may_not_change_password: bool = True
    account_expires: Literal["never"] | Instant | None = None
    groups: tuple[Principal, ...] = (REMOTE_DESKTOP_USERS, EVENT_LOG_READERS)
    rights: tuple[str, ...] = ("SeBatchLogonRight",)


def resources(account: Settings, host: Host) -> Iterator[Resource]:
    yield LocalUser(
        name=account.name,
        password=account.password,
        full_name=account.full_name,
        description=account.description,
        enabled=account.enabled,
        password_never_expires=account.password_never_expires,
        user_may_not_change_password=account.user_may_not_change_password,
        account_expires=account.account_expires,
    )
    itself = (Principal.parse(f".\\{account.name}"),)
    for group in account.groups:
        yield GroupMembers(group=group, members=itself)
    if ADMINISTRATORS not in account.groups:
        yield GroupMembers(group=ADMINISTRATORS, members=itself, absent=True)
    for right in account.rights:
        yield UserRight(right=right, principals=itself)
