"""What NexHealth's team finds prepared on the server: its SQL login, ways out, exclusions, and who agreed to it.

By NexHealth's page 'Preparing for a scheduled onprem NexHealth installation' (seed 001). A Salt minion calls its master at 4505
and 4506 and is called by nobody (docs.saltproject.io, 'Check network ports'), so nothing is opened inwards. NexHealth's
services and the master's name are not public: its team installs the former in the call, and says the latter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, field_validator, model_validator

from opdeploy.inventory import Host
from opdeploy.model import Secret
from opdeploy.resources.base import Resource, Scope
from opdeploy.resources.defender_exclusion import DefenderExclusion
from opdeploy.resources.desired import Because
from opdeploy.resources.manual_step import ManualStep
from opdeploy.resources.package import Package
from opdeploy.resources.reachable import Reachable
from opdeploy.resources.service import Service
from opdeploy.resources.sql_login import SqlLogin
from opdeploy.resources.sql_parts import TableGrants
from opdeploy.roles import Antivirus, Opening, Required, RoleSettings, unscanned

CLIENTS = "ScreenConnect Client (*"  # the product and the service of every ScreenConnect client, whosever it is
SALT_PORTS, HTTPS = (4505, 4506), 443
EXCLUDED = (r"C:\NexHealth*", r"C:\Program Files\Salt Project\Salt*")
DOMAINS = (
    "*.nexhealth.info",
    "*.nexhealth-it.com",
    "*.nexhealth.com",
    "nexhealth-backend-state-cache-development-us-east-1.s3.amazonaws.com",
)
MAPPED = {"dolphin": "Main_OMS", "orthotrac": "Main_OMS"}
IT = "the practice's IT"
FULL_ACCESS = "db_owner and public: whatever NexHealth's interface can do, now and later"


class Agreement(RoleSettings):
    """An executed Business Associate Agreement."""

    executed: date = Required("when the last party signed, such as 2026-01-31")
    """When the last party signed it."""
    parties: tuple[str, ...] = Required("who signed it, at least two")
    """Who signed it."""
    sha256: str = Required("of the signed document: Get-FileHash FILE")
    """Of the signed document, so that everybody means the same one."""

    @field_validator("parties")
    @classmethod
    def _two_at_least(cls, parties: tuple[str, ...]) -> tuple[str, ...]:
        if len({party.strip() for party in parties} - {""}) < 2:
            raise ValueError("expected at least two parties: the practice, and whoever receives its patients' data")
        return parties

    @field_validator("sha256")
    @classmethod
    def _digest(cls, text: str) -> str:
        if not re.fullmatch("[0-9a-fA-F]{64}", text):
            raise ValueError("expected a SHA-256 digest: 64 hexadecimal digits")
        return text.lower()

    def __str__(self) -> str:
        return f"executed {self.executed} by {', '.join(self.parties)}; the document's SHA-256 is {self.sha256}"


def _outbound(given: Any) -> Any:
    """What is known of the rule, beside what the inventory says: to where."""
    if not isinstance(given, Mapping):
        return given
    if unknown := given.keys() - {"remote_addresses", "reason"}:
        raise ValueError(f"{min(unknown)} is known already: outbound takes remote_addresses and reason")
    ports = [HTTPS, *SALT_PORTS]
    rule = {"direction": "outbound", "action": "allow", "protocol": "TCP", "remote_ports": ports}
    return {"name": "OP-NexHealth-Out", "display_name": "OP NexHealth and its Salt minion", **rule, **given}


class Settings(RoleSettings):
    baa: Agreement = Required("nothing is prepared without an executed BAA: executed, parties, sha256")
    """The executed Business Associate Agreement."""
    product: Literal["dentrix_enterprise", "dolphin", "orthotrac"] = Required(
        "the practice management system: dentrix_enterprise, dolphin or orthotrac; others NexHealth sets up by itself"
    )
    """The practice management system that NexHealth reads and writes."""
    login: str = Required("the SQL login that NexHealth works with, such as nexhealth")
    """The SQL login that NexHealth works with."""
    password: Secret | None = None
    """Of the login; left out where it is there already and its password known."""
    server: str = "localhost"
    """SQL Server on this host; with its instance `.\\SQLEXPRESS`."""
    database: str | None = None
    """Needed for Dentrix Enterprise; Dolphin and Orthotrac have Main_OMS."""
    tables: tuple[TableGrants, ...] = ()
    """Tables and permissions, where NexHealth gave a list of its own for you; then nothing else in this database."""
    salt_master: str = Required("the name of NexHealth's Salt master: NexHealth's team says it")
    """NexHealth's Salt master, tried at 4505 and 4506."""
    https_host: str = Required("a name of NexHealth's that answers at port 443: NexHealth's team says it")
    """A name of NexHealth's, tried at 443."""
    outbound: Annotated[Opening, BeforeValidator(_outbound)] | None = None
    """Only where Windows' firewall blocks what goes out: `remote_addresses`, and a `reason` with Any."""
    antivirus: Antivirus = "detected"
    """Which antivirus guards this host: `detected`, as the host says; `defender`; or `other`."""
    what_for: str = Required("what your service does for the practice, in a sentence or two: its IT is told before the call")
    """What the service does for the practice: told to its IT before the call."""

    @model_validator(mode="after")
    def _in_its_database(self) -> Self:
        mapped = MAPPED.get(self.product)
        if mapped is None and self.database is None:
            raise ValueError("Dentrix Enterprise: name its database; NexHealth's page does not")
        if mapped and self.database not in (None, mapped):
            raise ValueError(f"{self.product} is mapped to {mapped}: leave database out")
        if "\\" in self.login:
            raise ValueError("login is a SQL login, which has no backslash")
        return self

    def sql_login(self) -> SqlLogin:
        access = {"grants": self.tables} if self.tables else {"roles": ("db_owner", "public")}
        given = {
            "login": self.login,
            "server": self.server,
            "type": "sql",
            "password": self.password,
            "enabled": True,
            "databases": {self.database or MAPPED[self.product]: access},
            "exact": bool(self.tables),
        }
        return SqlLogin.model_validate(given)


def resources(nexhealth: Settings, host: Host) -> Iterator[Resource | Scope | Because]:
    yield nexhealth.sql_login()
    for name, port in [(nexhealth.https_host, HTTPS), *((nexhealth.salt_master, port) for port in SALT_PORTS)]:
        yield Reachable(name=name, port=port)
    if nexhealth.outbound:
        yield nexhealth.outbound.rule()
    exclusions = tuple(DefenderExclusion(type="path", value=path) for path in EXCLUDED)
    yield from unscanned(exclusions, nexhealth.antivirus, "nexhealth", "NexHealth asks for it")
    yield _prepare(nexhealth)
    yield ALLOW_LIST
    yield END_THE_SESSION
    yield Scope(Package, CLIENTS, exact=False)
    yield Scope(Service, CLIENTS, exact=False)


def _prepare(nexhealth: Settings) -> ManualStep:
    tables = [f"- {grant.table}: {', '.join(grant.permissions)}" for grant in nexhealth.tables] or [f"- {FULL_ACCESS}"]
    return ManualStep(
        id="nexhealth-prepare-the-call",
        title="Schedule the installation with NexHealth, and tell the practice's IT",
        who="whoever runs the integration",
        how="In NexHealth's developer portal, schedule server access with its installation team and the practice's IT.\n"
        "Before the call, send the practice's IT:\n"
        f"What the service does: {nexhealth.what_for}\n"
        f"BAA: {nexhealth.baa}\n"
        "Why server access: NexHealth is the integration partner. Its team installs its services on the server or on another\n"
        "machine of the network, and looks at the program's screens to check the connection.\n"
        "How it works: the SQL login asks the database for what is new about every 10 minutes, and writes back at once.\n"
        f"What is read and written, as login {nexhealth.login}:\n"
        + "\n".join(tables)
        + "\nIn the call the team needs the login and its password, and somebody who may change firewall and antivirus.",
        why="whoever comes unprepared to the call ends it without an installation",
    )


ALLOW_LIST = ManualStep(
    id="nexhealth-allow-list",
    title="Let the server out to NexHealth through the network's firewall",
    who=IT,
    how="On the firewall or proxy between the server and the internet, allow outbound TCP "
    f"{', '.join(map(str, sorted((HTTPS, *SALT_PORTS))))} to:\n"
    + "\n".join(f"- {domain}" for domain in DOMAINS)
    + "\nNothing has to be allowed inbound. NexHealth's page prints the first two as _.nexhealth.info and _.nexhealth-it.com:\n"
    "we take them for *. as in the third; ask NexHealth's team where your firewall takes no wildcards.\n"
    "The last one is printed with http://; whether port 80 is needed as well, NexHealth's team says.",
    why="NexHealth's services and its Salt minion call out; Windows' own firewall knows no domains",
)
END_THE_SESSION = ManualStep(
    id="nexhealth-end-the-session",
    title="See that NexHealth's remote session has ended",
    who=IT,
    how="NexHealth's team gives a web address and a code for a ConnectWise session as the call begins. Stay with it.\n"
    "Once installation and check are done, see that it is disconnected, and that nothing of it is left:\n"
    "a plan reports every ScreenConnect client that the inventory does not name.",
    why="a session that stays connected lets whoever holds it back in",
)
