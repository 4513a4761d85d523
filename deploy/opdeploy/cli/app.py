"""The command line as a whole. A command's module is imported when it is asked for; the list below is all that help needs."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from opdeploy import __version__

COMMANDS = {
    "inventory": "Check an inventory, list its hosts, show one.",
    "plan": "Show what apply would change. Writes nothing.",
    "approve": "Sign that a plan file may be applied, or that it must not.",
    "apply": "Close the difference between the hosts and the inventory.",
    "remove": "Take back what roles did to hosts.",
    "drift": "Compare the hosts with the inventory and with what was last applied.",
    "snapshot": "Save a host's raw answers, to plan from later.",
    "history": "Say who ran what, when, and what changed.",
    "store": "Check the run store, prune it, export it.",
    "access": "Say when the support was on a host, and what it did there.",
    "handover": "Write what a practice's IT is left with, as one file.",
    "explain": "Say what a kind of resource is, with an example.",
    "docs": "Write docs/reference from the code.",
    "step": "List what only a person can do, and sign it off.",
    "runbook": "Say what to do when somebody calls about the OP Portal.",
    "lab": "Run simulated practice servers on this machine.",
    "demo": "Show the whole way on the lab, in under a minute.",
}


class Commands(click.Group):
    """The commands of `COMMANDS`, each in the module of its name, where it is called `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"opdeploy.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(cls=Commands, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="opdeploy", message="%(prog)s %(version)s")
def app() -> None:
    """Provision the Windows servers of medical practices: show the difference, close it, over WinRM.

    \b
    Examples:
      opdeploy inventory validate -i inventories/lab
      opdeploy plan -i inventories/lab
      opdeploy demo

    \b
    Exit codes: 0 in sync or applied, 2 changes pending, 3 a host or something on it is unknown,
    1 something failed, 64 wrong usage or a bad inventory, 130 Ctrl-C.

    \b
    Completion in bash (zsh and fish alike):
      eval "$(_OPDEPLOY_COMPLETE=bash_source opdeploy)"
    """
