"""``opdeploy drift schedule``: the check each night, by a systemd timer, or by cron where there is no systemd."""

from __future__ import annotations

import math
import os
import pwd
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import click

from opdeploy import controller
from opdeploy.cli import options, run_store, terminal, unattended
from opdeploy.cli.compiled import compiled, user
from opdeploy.cli.options import Asked
from opdeploy.inventory import InventoryError
from opdeploy.model import UsageError
from opdeploy.resources.values import Duration
from opdeploy.scheduling import crontab, systemd
from opdeploy.scheduling.nightly import PREFIX, Nightly, said
from opdeploy.scheduling.systemd import Manager
from opdeploy.store.lock import name_of
from opdeploy.store.records import default_folder

LINGERING = Path("/var/lib/systemd/linger")  # loginctl(1): a file for each user whose manager is always there


@click.group("schedule")
def command() -> None:
    """Have drift checked every night: by a systemd timer, or by cron where there is no systemd.

    \b
    Example:
      opdeploy drift schedule install -i inventories/lab --at 02:30
    """


@command.command("install")
@options.asking(options.inventory, options.roles_path, options.store, options.limit, options.role)
@click.option("--at", metavar="TIME", default="02:30", help="Time of day, or a systemd calendar event. Default: 02:30.")
@unattended.limits
@click.option(
    "--credential", "given", metavar="NAME:PATH", multiple=True, help="A file that {from_credential: NAME} gives. Several."
)
@click.option("--system", is_flag=True, help="A unit of the system instead of the user's; needs root and --run-as.")
@click.option("--run-as", metavar="USER", default="", help="With --system: whose check it is.")
@click.option("--cron", is_flag=True, help="By cron, though there is systemd.")
def install(
    asked: Asked,
    at: str,
    jitter: float,
    budget: float,
    host_budget: float,
    given: tuple[str, ...],
    system: bool,
    run_as: str,
    cron: bool,
) -> None:
    """Write what starts the check, and start to wait for it. Installed twice, it is there once.

    The inventory is read first as the night will find it: without this shell's environment.

    \b
    Examples:
      opdeploy drift schedule install -i inventories/lab --jitter 30m
      opdeploy drift schedule install --credential op-installer:/etc/opdeploy/op-installer
      sudo opdeploy drift schedule install --system --run-as opdeploy --store /var/lib/opdeploy
    """
    manager = _manager(system, run_as, cron)
    store = _store(asked, run_as)
    nightly = Nightly(
        PREFIX + name_of(asked.inventory),
        asked.inventory.absolute(),
        _arguments(asked, store, budget, host_budget, 0 if manager else jitter),
        store,
        at,
        math.ceil(jitter),
        math.ceil(budget),
        run_as,
        systemd.credentials(given),
        {name: str(Path(value).absolute()) for name in (controller.VARIABLE,) if (value := os.environ.get(name))},
    )
    _rehearse(asked, nightly)
    _once(nightly.name, manager)
    if manager:
        _install_units(manager, nightly)
    else:
        crontab.install(nightly)
        terminal.write(f"written into the crontab:\n{indent(crontab.block(nightly), '  ')}")


@command.command("show")
def show() -> None:
    """Print every schedule that was installed here, and when it is due next.

    \b
    Example:
      opdeploy drift schedule show
    """
    shown = [text for manager in (Manager(), Manager(system=True)) for path in manager.ours() for text in _shown(manager, path)]
    shown += [f"the crontab of {user()}:\n{indent(block, '  ')}" for block in crontab.installed()]
    terminal.write("".join(shown) or "nothing is scheduled here\n")


@command.command("remove")
@options.asking(options.inventory)
@click.option("--system", is_flag=True, help="The unit of the system; needs root.")
def remove(asked: Asked, system: bool) -> None:
    """Take a practice's schedule away again, and nothing else.

    \b
    Example:
      opdeploy drift schedule remove -i inventories/lab
    """
    name = PREFIX + name_of(asked.inventory)
    gone = [str(path) for path in Manager(system).remove(name)]
    if not system and crontab.remove(name):
        gone.append("its line in the crontab")
    terminal.write("".join(f"removed: {what}\n" for what in gone) or f"nothing was scheduled for {asked.inventory}\n")
    for _, place in _places(name):
        terminal.say(f"still there: {place}")


# ---------------------------------------------------------------- what is to run


def _manager(system: bool, run_as: str, cron: bool) -> Manager | None:
    """Whose systemd; None: cron. Raises UsageError."""
    if system and (cron or not systemd.running()):
        raise UsageError("--system is for systemd", "leave it out" if cron else "none runs here: leave --system out, for cron")
    if system != bool(run_as):
        raise UsageError("--system and --run-as belong together", "a check needs no root: --system --run-as USER")
    return Manager(system) if systemd.running() and not cron else None


def _store(asked: Asked, run_as: str) -> Path:
    """The run store, made where it is our own; an absolute path. Raises UsageError."""
    named = run_store.allowed(asked.store)
    if run_as:
        store = (named or _home(run_as) / ".local/state/opdeploy").absolute()
        if not store.is_dir():
            raise UsageError(f"{store} is not there", f"make it first: install -d -m 700 -o {run_as} {shlex.quote(str(store))}")
        return store
    store = (named or default_folder()).absolute()
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{store}: {error.strerror}", "name a folder of your own with --store") from error
    return store


def _home(user: str) -> Path:
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise UsageError(f"--run-as {user}: there is no such user", "make one, or name another") from None


def _arguments(asked: Asked, store: Path, budget: float, host_budget: float, jitter: float) -> tuple[str, ...]:
    """The command without what hangs on the folder or the environment in which it is typed."""
    roles = [part for path in asked.roles_path for part in ("--roles-path", str(path.absolute()))]
    limits = [part for limit in asked.limits for part in ("--limit", limit)]
    only = [part for role in asked.roles for part in ("--role", role)]
    times = {"--budget": budget, "--host-budget": host_budget, "--jitter": jitter}
    given = [part for name, seconds in times.items() if seconds for part in (name, str(Duration(seconds)))]
    program = (sys.executable, "-P", "-m", "opdeploy", "drift", "check")
    return (*program, "-i", str(asked.inventory.absolute()), "--store", str(store), *roles, *limits, *only, *given)


def _rehearse(asked: Asked, nightly: Nightly) -> None:
    """Reads everything as the night will, with no more environment than it has. Raises InventoryError, UsageError."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(systemd.as_given(Path(folder), nightly.credentials)) | dict(nightly.environment)
        try:
            what = compiled(asked, environment)
            is_told = nightly.run_as or controller.addresses(environment)
        except InventoryError as error:
            terminal.say("as the night would find it, with no environment but the credentials that it is given:")
            if "environment variable" in str(error):
                terminal.say(
                    "    your shell's variables are not there: take {from_file: PATH}, or with systemd {from_credential: NAME}"
                )
            raise
    if not nightly.run_as:
        run_store.opened(asked, what.inventory).close()
    if not is_told:
        terminal.say("nobody will be told what it finds: the night finds no notify in a configuration (docs/notifications.md)")


def _once(name: str, manager: Manager | None) -> None:
    """Raises UsageError where the same is scheduled otherwise."""
    for other, place in _places(name):
        if other != manager:
            system = " --system" if other and other.system else ""
            hint = f"take that away first: opdeploy drift schedule remove{system}"
            raise UsageError(f"it is scheduled already: {place}", hint)


def _places(name: str) -> Iterator[tuple[Manager | None, str]]:
    """Where a check is scheduled, and by whom: None is cron."""
    for manager in (Manager(), Manager(system=True)):
        yield from ((manager, str(path)) for path in manager.ours(name))
    if crontab.block_of(name):
        yield None, "a line in the crontab"


# ---------------------------------------------------------------- what is said


def _install_units(manager: Manager, nightly: Nightly) -> None:
    systemd.check_calendar(nightly.at)
    terminal.write("".join(f"written: {path}\n" for path in manager.install(nightly)))
    for enabling in manager.enabling(nightly.name):
        if systemd.reachable():
            said(enabling)
        terminal.write(f"{'done' if systemd.reachable() else 'to do'}: {' '.join(enabling)}\n")
    if not manager.system and not (LINGERING / user()).exists():
        terminal.write(f"to do, or it waits for {user()} to log in: loginctl enable-linger {user()}\n")


def _shown(manager: Manager, path: Path) -> Iterator[str]:
    yield f"{path}\n{indent(path.read_text(encoding='utf-8'), '  ')}\n"
    if path.suffix == ".timer":
        yield f"next: {manager.next(path.name) or 'only systemd knows, and it does not say'}\n\n"
