"""``opdeploy explain``: a kind's page, as docs/reference has it."""

from __future__ import annotations

import json

import click
from click.shell_completion import CompletionItem

from opdeploy.cli import terminal
from opdeploy.inventory import near
from opdeploy.model import ExitCode, UsageError
from opdeploy.reports.reference import as_data, explained, kind_page
from opdeploy.resources import KINDS


def _complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(kind, help=explained(kind).title) for kind in KINDS if kind.startswith(begun)]


@click.command("explain")
@click.argument("kind", required=False, shell_complete=_complete)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to say it.")
def command(kind: str | None, form: str) -> ExitCode:
    """Say what a kind of resource is: its properties, what each takes, an example. Without KIND: list them.

    \b
    Examples:
      opdeploy explain
      opdeploy explain service
      opdeploy explain package --format json
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"{kind}: no such kind", near(kind, KINDS) or "opdeploy explain lists them")
    if form == "json":
        told = as_data(explained(kind)) if kind else [{"kind": name, "title": explained(name).title} for name in KINDS]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif kind is None:
        click.echo("\n".join(f"{name:<22} {explained(name).title}" for name in KINDS))
    else:
        terminal.page(kind_page(kind))
    return ExitCode.OK
