"""``opdeploy explain``: a kind's page, as docs/reference has it."""

from __future__ import annotations

import json

import click
from click.shell_completion import CompletionItem

from opdeploy.cli import terminal
from opdeploy.inventory import near
from opdeploy.model import ExitCode, UsageError
from opdeploy.reports.reference import Explained, as_data, explained, explained_role, kind_page, role_page
from opdeploy.resources import KINDS
from opdeploy.roles import find


def _complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(kind, help=explained(kind).title) for kind in KINDS if kind.startswith(begun)]


@click.command("explain")
@click.argument("kind", required=False, shell_complete=_complete)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to say it.")
def command(kind: str | None, form: str) -> ExitCode:
    """Say what a kind of resource is, or a role: its settings, what each takes, an example. Without a name: list them.

    \b
    Examples:
      opdeploy explain
      opdeploy explain service
      opdeploy explain package --format json
      opdeploy explain firebird
    """
    if form == "json":
        told = as_data(_explained(kind)) if kind else [{"kind": name, "title": explained(name).title} for name in KINDS]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif kind is None:
        click.echo("\n".join(f"{name:<22} {explained(name).title}" for name in KINDS))
    else:
        terminal.page(_page(kind))
    return ExitCode.OK


def _page(name: str) -> str:
    return kind_page(name) if name in KINDS else role_page(find().by_name[_explained(name).kind])


def _explained(name: str) -> Explained:
    if name in KINDS:
        return explained(name)
    roles = find()
    if name not in roles.names:
        hint = near(name, [*KINDS, *roles.names]) or "opdeploy explain lists the kinds; roles: " + ", ".join(roles.names)
        raise UsageError(f"{name}: no such kind, and no such role", hint)
    return explained_role(roles.by_name[name])
