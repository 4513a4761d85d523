"""``opdeploy inventory``: is it right, which hosts are in it, and what is one of them. No host is spoken to."""

from __future__ import annotations

from typing import Any

import click
import yaml

from opdeploy.cli import options, terminal
from opdeploy.cli.compiled import Compiled, compiled
from opdeploy.cli.options import Asked
from opdeploy.inventory import Host, as_written
from opdeploy.rendering import printable

SCHEMA = "opdeploy.inventory/1"
WHERE = (options.inventory, options.roles_path)


@click.group("inventory")
def command() -> None:
    """Check an inventory, list its hosts, show one. No host is spoken to.

    \b
    Example:
      opdeploy inventory validate -i inventories/lab
    """


@command.command("validate")
@options.asking(*WHERE)
def validate(asked: Asked) -> None:
    """Say everything that is wrong with an inventory, each with its place; 64 if there is anything.

    \b
    Example:
      opdeploy inventory validate -i inventories/lab
    """
    found = compiled(asked)
    resources = sum(len(desired.resources) for _, desired in found.hosts)
    terminal.write(f"{asked.inventory}: in order; {_count(len(found.hosts), 'host')}, {_count(resources, 'resource')}\n")


@command.command("list")
@options.asking(*WHERE, options.limit, options.output)
def list_(asked: Asked, form: str) -> None:
    """List the hosts with their addresses, groups and roles.

    \b
    Examples:
      opdeploy inventory list -i inventories/lab
      opdeploy inventory list --limit 'database_servers,!db2*' --format json
    """
    found = compiled(asked)
    hosts = [_summary(host, found) for host, _ in found.hosts]
    if form == "json":
        terminal.document({"schema": SCHEMA, "inventory": str(asked.inventory), "hosts": hosts})
        return
    width = max(len(host["name"]) for host in hosts) if hosts else 0
    for host in hosts:
        told = f"{host['name']:<{width}}  {host['url']}  {', '.join(host['groups'])}  ({', '.join(host['roles'])})"
        terminal.write(printable(told) + "\n")


@command.command("show")
@click.argument("host")
@options.asking(*WHERE, options.output)
def show(asked: Asked, host: str, form: str) -> None:
    """Show one host: how it is reached, and its effective variables. Secrets stand there by their source.

    \b
    Example:
      opdeploy inventory show db1.example -i inventories/lab
    """
    found = compiled(asked)
    one, _ = found.host(host)
    told = _summary(one, found) | {"connection": _connection(one), "variables": _variables(one)}
    if form == "json":
        terminal.document({"schema": SCHEMA, "inventory": str(asked.inventory), "hosts": [told]})
    else:
        terminal.write(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120))


def _summary(host: Host, found: Compiled) -> dict[str, Any]:
    reached = host.connection
    return {
        "name": host.name,
        "url": f"{reached.scheme}://{reached.address}:{reached.port}/wsman",
        "groups": list(host.groups),
        "roles": [name for name in found.roles.names if name in host.variables],
    }


def _connection(host: Host) -> dict[str, Any]:
    reached = host.connection
    names = ("transport", "user", "server_cert_validation", "ca_trust_path", "operation_timeout", "read_timeout")
    told: dict[str, Any] = {name: getattr(reached, name) for name in names}
    return told | {"password": reached.password.source if reached.password else None}


def _variables(host: Host) -> dict[str, Any]:
    return {name: as_written(node) for name, node in sorted(host.variables.items())}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
