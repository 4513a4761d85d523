"""``opdeploy docs``: writes docs/reference from the code, or says whether what stands there is still right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from opdeploy.cli import app as cli
from opdeploy.cli import terminal
from opdeploy.lab.windows import source
from opdeploy.model import ExitCode, UsageError
from opdeploy.reports.reference import MADE, agent_page, exit_codes_page, kind_page, kinds_page, role_page, roles_page
from opdeploy.resources import KINDS
from opdeploy.roles import find
from opdeploy.windows import agent

HELP = ["-h", "--help"]
FOLDER = Path("docs/reference")


@click.command("docs")
@click.option("--out", type=click.Path(path_type=Path), default=FOLDER, show_default=True, metavar="DIR", help="Write here.")
@click.option("--check", is_flag=True, help="Write nothing: end with 2 where the pages there are not what the code says.")
def command(out: Path, check: bool) -> ExitCode:
    """Write the reference from the code: kinds, roles, verbs, listed cmdlets and programs, commands, exit codes.

    \b
    Examples:
      opdeploy docs
      opdeploy docs --check
    """
    made = pages()
    stale = sorted({name for name, text in made.items() if _there(out / name) != text} | _left_over(out, made))
    if check:
        for name in stale:
            terminal.say(f"{out / name} is stale: run opdeploy docs")
        return ExitCode.CHANGES if stale else ExitCode.OK
    _write(out, made)
    terminal.say(f"{out}: {len(made)} pages, {len(stale)} of them new or changed")
    return ExitCode.OK


def pages() -> dict[str, str]:
    """Every page by its name below the folder."""
    told, found = source.read(agent.source(write=True)), find()
    texts = {
        "kinds.md": kinds_page(),
        **{f"kinds/{kind}.md": kind_page(kind) for kind in KINDS},
        "roles.md": roles_page(found),
        **{f"roles/{role.name}.md": role_page(role) for role in found},
        "agent.md": agent_page(told.verbs, told.tables),
        "commands.md": _commands_page(),
        "exit-codes.md": exit_codes_page(),
    }
    return {name: f"{MADE}\n\n{text.rstrip()}\n" for name, text in texts.items()}


def _commands_page() -> str:
    with click.Context(cli.app, info_name="opdeploy", terminal_width=110, help_option_names=HELP) as top:
        helps = [f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps(cli.app, top)]
    return "# Commands\n\n" + "\n".join(helps)


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """A command's help and those of the commands below it."""
    yield context.command_path, command.get_help(context).rstrip()
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        below = command.get_command(context, name)  # type: ignore[attr-defined]
        if below is not None:
            yield from _helps(below, click.Context(below, info_name=name, parent=context, terminal_width=110))


def _there(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _left_over(out: Path, made: dict[str, str]) -> set[str]:
    """Pages of ours that nothing makes any more."""
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*.md")} if out.is_dir() else {}
    return {name for name, path in found.items() if name not in made and path.read_text(encoding="utf-8").startswith(MADE)}


def _write(out: Path, made: dict[str, str]) -> None:
    try:
        for name in _left_over(out, made):
            (out / name).unlink()
        for name, text in made.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}", "name a folder of your own with --out") from error
