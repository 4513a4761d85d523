"""OP's services: the products that run on a server, by their ids in `catalogue.yml`, and any other service by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from opdeploy.inventory import Host
from opdeploy.model import Principal
from opdeploy.resources.base import Resource
from opdeploy.resources.desired import Because
from opdeploy.resources.scheduled_task import ScheduledTask
from opdeploy.resources.service import Service
from opdeploy.resources.values import LocalPath
from opdeploy.roles import Product, Required, RoleSettings, keyed

NEEDS = ("support_account", "firebird", "op_folders")  # grants may name the account; the products want their database

NAMES = {
    "opiis": "OPIIS",
    "opmsg": "OPMsg",
    "op_exchange_network": "OP Exchange Network",
    "op_exchange_network_update": "OP Exchange Network Update",
    "questhub": "OP QuestHub",
    "lab_interface": "OP Lab Interface",
}
ROLES = {
    "firebird": "firebird",
    "op_backup": "op_backup",
    "op_client": "op_client",
    "op_web_update": "op_web_update",
    "instamed_connect": "instamed",
    "ophl7service": "ophl7",
}
EVENING, MORNING = "20:00", "06:00"


class Nightly(RoleSettings):
    """The scheduled task that keeps a product up to date."""

    at: str = Required("when, the host's clock, such as '01:30'")
    """When: at night, from 20:00 to 05:59."""
    command: LocalPath = Required("the program that it runs, as OP Support names it")
    """What it runs."""
    arguments: str = ""
    """What follows the program."""
    principal: Principal = Required("as whom: SYSTEM, LOCAL SERVICE, NETWORK SERVICE, or a managed account")
    """As whom it runs. Who may change the program of a task that runs as SYSTEM is SYSTEM."""

    def task(self, path: str) -> ScheduledTask:
        action = {"command": self.command, **({"arguments": self.arguments} if self.arguments else {})}
        settings = {
            "triggers": [{"when": "daily", "at": self.at}],
            "actions": [action],
            "principal": self.principal,
            "start_when_available": True,
            "disallow_start_if_on_batteries": False,
            "execution_time_limit": "2h",
        }
        return ScheduledTask.model_validate({"path": path, **settings})

    @field_validator("at")
    @classmethod
    def _is_at_night(cls, at: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", at) or MORNING <= at < EVENING:
            raise ValueError("expected a time from 20:00 to 05:59, such as '01:30': services may stand still meanwhile")
        return at


class Updater(Product):
    """A product that keeps another up to date at night."""

    task: Nightly | None = Required("the nightly task: at, command, principal; nothing (task:) where its installer makes one")
    """The nightly task; nothing where its own installer or service sees to it."""


class Products(RoleSettings):
    """OP's products that have no role of their own, by their ids in `catalogue.yml`."""

    opiis: Product | None = None
    """OPIIS: immunization registry."""
    opmsg: Product | None = None
    """OPMsg, Patient Message eXchange: e-mail and text messages."""
    op_exchange_network: Product | None = None
    """OP Exchange Network: e-prescribing and interfaces."""
    op_exchange_network_update: Updater | None = None
    """OP Exchange Network Update: keeps OP Exchange Network up to date, nightly."""
    questhub: Product | None = None
    """OP QuestHub: secure downloads of Quest's results."""
    lab_interface: Product | None = None
    """OP Lab Interface: the secondary lab service, also a demographic bridge with Quest."""

    @model_validator(mode="before")
    @classmethod
    def _have_no_role_of_their_own(cls, given: Any) -> Any:
        for name in given if isinstance(given, Mapping) else ():
            if name in ROLES:
                raise ValueError(f"{name} has a role of its own: write {ROLES[name]}: beside op_services:")
        return given


class Settings(RoleSettings):
    services: Annotated[dict[str, Service], keyed("name")] = Field(default_factory=dict)
    """Services of any kind: each one's short name, as Get-Service shows it, and below it what it should be."""
    products: Products = Products()
    """OP's products that run here, each with its installer, services, folders, openings."""

    @model_validator(mode="after")
    def _say_something(self) -> Self:
        if not self.services and not self.products.model_fields_set:
            raise ValueError("expected products (ids of OP's products), services (short names), or both")
        if self.products.op_exchange_network_update and not self.products.op_exchange_network:
            raise ValueError("products: op_exchange_network_update keeps op_exchange_network up to date, which is not here")
        return self


def resources(settings: Settings, host: Host) -> Iterator[Resource | Because]:
    for id, name in NAMES.items():
        if product := getattr(settings.products, id):
            yield from product.resources(name)
    if (update := settings.products.op_exchange_network_update) and update.task:
        yield update.task.task(rf"\OP\{NAMES['op_exchange_network_update']}")
    yield from settings.services.values()
