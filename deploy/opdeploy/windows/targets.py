"""How a host is reached: from the inventory's connection, or from what pyinfra was told, to the session's target."""

from __future__ import annotations

import os
from getpass import getpass
from pathlib import Path

from opdeploy.inventory import Connection, load
from opdeploy.model import OpdeployError, Secret
from opdeploy.windows.winrs import Target


def of_connection(connection: Connection) -> Target:
    return Target(
        address=connection.address,
        port=connection.port,
        transport=connection.transport,
        user=connection.user,
        password=connection.password,
        https=connection.scheme == "https",
        ca=_path(connection.ca_trust_path),
        verify=connection.server_cert_validation == "validate",
        cert_pem=_path(connection.cert_pem),
        cert_key_pem=_path(connection.cert_key_pem),
        operation_timeout=connection.operation_timeout,
        read_timeout=connection.read_timeout,
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def of_inventory(directory: str, name: str) -> Target:
    """One host of an opdeploy inventory. Raises InventoryError; OpdeployError where there is no such host."""
    host = next((host for host in load(directory).hosts if host.name == name), None)
    if host is None:
        raise OpdeployError(f"{name} is no host of {directory}")
    return of_connection(host.connection)


def of_environment(name: str, user: str | None = None, password: Secret | None = None) -> Target:
    """For a host that no inventory names: OPDEPLOY_USER and OPDEPLOY_PASSWORD, else a prompt."""
    user = user or os.environ.get("OPDEPLOY_USER") or input(f"user for {name}: ")
    known = os.environ.get("OPDEPLOY_PASSWORD")
    password = password or Secret(known or getpass(f"password of {user} on {name}: "), "env:OPDEPLOY_PASSWORD")
    return Target(address=name, user=user, password=password)
