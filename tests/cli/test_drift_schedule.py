"""``opdeploy drift schedule``: what systemd or cron is told, once, and taken away again; nobody else's is touched."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import Done, opdeploy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from roles_at_hand import inventory

from opdeploy.cli import schedule
from opdeploy.model import UsageError
from opdeploy.scheduling import crontab, systemd
from opdeploy.scheduling.nightly import Nightly

CRONTAB = """#!/bin/sh
case "$1" in
    -l) test -e {table} || {{ echo "no crontab for anna" >&2; exit 1; }}; cat {table} ;;
    -) cat > {table} ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *show*) echo "Mon 2026-11-23 02:41:07 UTC" ;; esac
"""
BROKEN = """#!/bin/sh
echo "Failed to connect to bus: No medium found" >&2
exit 1
"""


@dataclass
class Machine:
    """A controller with programs of ours on its PATH, in a folder of its own."""

    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / "inventories" / "elm street"

    @property
    def units(self) -> Path:
        return self.folder / "config" / "systemd" / "user"

    @property
    def table(self) -> Path:
        return self.folder / "table"

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(table=self.table, log=self.folder / "log"))
        path.chmod(0o755)

    def boot(self) -> None:
        """systemd runs here."""
        (self.folder / "run").mkdir()
        self.program("systemctl", SYSTEMCTL)

    def __call__(self, *arguments: str, where: bool = True) -> Done:
        return opdeploy("drift", "schedule", *arguments, *(("-i", str(self.inventory)) if where else ()))

    def files(self) -> dict[str, str]:
        return {path.suffix: path.read_text() for path in self.units.iterdir()} if self.units.is_dir() else {}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    own = {"HOME": "home", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "PATH": "bin"}
    for name, value in own.items():
        monkeypatch.setenv(name, str(tmp_path / value) + (f"{os.pathsep}/usr/bin{os.pathsep}/bin" if name == "PATH" else ""))
    monkeypatch.delenv("OPDEPLOY_CONFIG", raising=False)
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "run")
    monkeypatch.setattr(systemd, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(schedule, "LINGERING", tmp_path / "linger")
    monkeypatch.setattr("opdeploy.controller.MACHINE", tmp_path / "no-config.yml")
    made.program("crontab", CRONTAB)
    secret(made, {"from_file": "password"})
    (made.inventory / "password").write_text("hunter2")
    return made


def secret(machine: Machine, source: dict[str, str]) -> None:
    inventory(machine.inventory, {"db1": {"ansible_password": source}})


# ---------------------------------------------------------------- systemd


def test_a_service_and_a_timer_are_written_and_enabled(machine: Machine) -> None:
    machine.boot()
    done = machine("install", "--at", "03:15", "--jitter", "30m", "--budget", "1h")
    assert done.code == 0
    service, timer = machine.files()[".service"], machine.files()[".timer"]
    name = next(machine.units.glob("*.timer")).stem
    assert re.fullmatch(r"opdeploy-drift-elm-street-[0-9a-f]{6}", name)
    assert {"OnCalendar=*-*-* 03:15:00", "RandomizedDelaySec=1800", "Persistent=true"} <= set(timer.splitlines())
    assert words(line_of(service, "ExecStart")) == [
        f":{sys.executable}", "-P", "-m", "opdeploy", "drift", "check", "-i", str(machine.inventory),
        "--store", str(machine.folder / "state" / "opdeploy"), "--budget", "1h", "--host-budget", "10m",
    ]  # fmt: skip
    assert {"SuccessExitStatus=2", "TimeoutStartSec=4500", "NoNewPrivileges=yes", "PrivateTmp=yes"} <= set(service.splitlines())
    assert words(line_of(service, "ReadWritePaths")) == [str(machine.folder / "state" / "opdeploy")]
    assert machine.log == ["--user daemon-reload", f"--user enable --now {name}.timer"]
    assert f"done: systemctl --user enable --now {name}.timer" in done.out
    assert f"loginctl enable-linger {getpass.getuser()}" in done.out


def test_the_command_that_it_starts_is_one(machine: Machine) -> None:
    machine.boot()
    (machine.folder / "more roles").mkdir()
    machine("install", "--limit", "all", "--limit", "d*1", "--roles-path", str(machine.folder / "more roles"))
    program, *arguments = words(line_of(machine.files()[".service"], "ExecStart"))
    assert arguments[9:15] == ["--roles-path", f"{machine.folder}/more roles", "--limit", "all", "--limit", "d*1"]
    done = subprocess.run(
        [program.removeprefix(":"), *arguments, "--help"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.stdout.startswith("Usage: opdeploy drift check")


def test_where_nobody_is_to_be_told_it_says_the_commands(machine: Machine) -> None:
    machine.boot()
    (machine.folder / "bin" / "systemctl").unlink()
    os.environ["PATH"] = str(machine.folder / "bin")
    done = machine("install")
    assert done.code == 0
    assert "to do: systemctl --user daemon-reload\nto do: systemctl --user enable --now opdeploy-drift-elm-street-" in done.out


def test_a_systemd_that_does_not_answer_is_told_and_the_units_are_there(machine: Machine) -> None:
    machine.boot()
    machine.program("systemctl", BROKEN)
    done = machine("install")
    assert done.code == 1
    assert "systemctl --user daemon-reload: Failed to connect to bus" in done.err
    assert set(machine.files()) == {".service", ".timer"}


def test_a_systemd_that_does_not_answer_keeps_nothing_from_being_removed(machine: Machine) -> None:
    machine.boot()
    machine("install")
    machine.program("systemctl", BROKEN)
    done = machine("remove")
    assert (done.code, machine.files()) == (1, {})
    assert "Failed to connect to bus" in done.err


def test_installed_twice_it_is_there_once_with_the_newer_time(machine: Machine) -> None:
    machine.boot()
    machine("install")
    machine("install", "--at", "04:00")
    assert len(list(machine.units.iterdir())) == 2
    assert "OnCalendar=*-*-* 04:00:00" in machine.files()[".timer"]


def test_removed_it_leaves_what_others_wrote(machine: Machine) -> None:
    machine.boot()
    machine("install")
    (timer,) = machine.units.glob("*.timer")
    wants = machine.units / "timers.target.wants"
    wants.mkdir()
    (wants / timer.name).symlink_to(timer)  # as systemctl enable does
    (machine.units / "opdeploy-drift-mine.timer").write_text("[Timer]\n")
    assert machine("remove").code == 0
    assert {path.name for path in machine.units.rglob("*")} == {"opdeploy-drift-mine.timer", "timers.target.wants"}
    assert machine.log[-2:] == [f"--user stop {timer.name}", "--user daemon-reload"]
    assert machine("remove").out == f"nothing was scheduled for {machine.inventory}\n"


def test_a_unit_of_that_name_that_is_not_ours_stays(machine: Machine) -> None:
    machine.boot()
    machine("install")
    (timer,) = machine.units.glob("*.timer")
    timer.write_text("[Timer]\n")
    done = machine("install")
    assert (done.code, timer.read_text()) == (64, "[Timer]\n")
    assert "not made by this command" in done.err


def test_it_is_shown_with_its_next_time(machine: Machine) -> None:
    assert machine("show", where=False).out == "nothing is scheduled here\n"
    machine.boot()
    machine("install")
    shown = machine("show", where=False).out
    assert "next: Mon 2026-11-23 02:41:07 UTC" in shown
    assert "  OnCalendar=*-*-* 02:30:00\n" in shown


def test_a_unit_of_the_system_runs_as_whom_it_is_told(machine: Machine) -> None:
    machine.boot()
    (machine.folder / "system").mkdir()
    user = getpass.getuser()
    arguments = ("install", "--system", "--run-as", user, "--store", str(machine.folder / "kept"))
    assert "install -d -m 700" in machine(*arguments).err
    (machine.folder / "kept").mkdir()
    assert machine(*arguments).code == 0
    text = next((machine.folder / "system").glob("*.service")).read_text()
    assert {f"User={user}", "ProtectKernelModules=yes", "After=network-online.target"} <= set(text.splitlines())
    assert machine.log[0] == "daemon-reload"
    again = machine("install")
    assert again.code == 64
    assert "opdeploy drift schedule remove --system" in again.err
    assert "still there" in machine("remove").err
    assert machine("remove", "--system").code == 0
    assert not list((machine.folder / "system").iterdir())


def test_a_users_unit_has_nothing_that_costs_a_capability(machine: Machine) -> None:
    machine.boot()
    machine("install")
    assert not [line for line in systemd.SYSTEM_ONLY.splitlines() if line in machine.files()[".service"]]
    assert "User=" not in machine.files()[".service"]


# ---------------------------------------------------------------- as the night will find it


def test_a_credential_reaches_the_unit_and_the_inventory(machine: Machine) -> None:
    machine.boot()
    secret(machine, {"from_credential": "op-installer"})
    refused = machine("install")
    assert refused.code == 64
    assert "with no environment but the credentials" in refused.err
    assert "the credential op-installer is not there" in refused.err
    assert machine.files() == {}
    (machine.folder / "pass word").write_text("hunter2")
    assert machine("install", "--credential", f"op-installer:{machine.folder}/pass word").code == 0
    service = machine.files()[".service"]
    assert f"LoadCredential=op-installer:{machine.folder}/pass word\n" in service
    assert "hunter2" not in service


def test_an_environment_that_only_this_shell_has_is_found_out_now(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.boot()
    monkeypatch.setenv("OP_HERE", "hunter2")
    secret(machine, {"from_env": "OP_HERE"})
    done = machine("install")
    assert done.code == 64
    assert done.err.startswith("as the night would find it, with no environment but the credentials that it is given:\n")
    assert "    your shell's variables are not there: take {from_file: PATH}" in done.err
    assert "the environment variable OP_HERE is not set" in done.err
    assert machine.files() == {}


def test_that_nobody_would_be_told_is_said_now(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a configuration is found by this shell's environment alone."""
    machine.boot()
    config = machine.folder / "config" / "opdeploy" / "config.yml"
    config.parent.mkdir(parents=True)
    config.write_text("notify:\n- from_file: address\n")
    (config.parent / "address").write_text("json://localhost")
    assert "nobody will be told what it finds" in machine("install").err
    monkeypatch.setenv("OPDEPLOY_CONFIG", str(config))
    assert "told" not in machine("install").err


def test_the_controllers_configuration_goes_along(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.boot()
    (machine.folder / "config.yml").write_text("notify:\n- from_env: OP_TOKEN\n")
    monkeypatch.setenv("OPDEPLOY_CONFIG", str(machine.folder / "config.yml"))
    monkeypatch.setenv("OP_TOKEN", "json://localhost")
    assert "the environment variable OP_TOKEN is not set" in machine("install").err
    (machine.folder / "config.yml").write_text("{}\n")
    assert machine("install").code == 0
    assert words(line_of(machine.files()[".service"], "Environment")) == [f"OPDEPLOY_CONFIG={machine.folder}/config.yml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--system",), "--system and --run-as belong together"),
        (("--system", "--cron", "--run-as", "root"), "--system is for systemd"),
        (("--system", "--run-as", "nobody-here"), "there is no such user"),
        (("--credential", "a b:/etc/passwd"), "expected NAME:PATH"),
        (("--credential", "name"), "expected NAME:PATH"),
        (("--credential", "name:/not/there"), "no such file: /not/there"),
        (("--at", "25:00\n"), "can't be written into a schedule"),
    ],
)
def test_what_can_not_be_is_refused(arguments: tuple[str, ...], said: str, machine: Machine) -> None:
    machine.boot()
    done = machine("install", *arguments)
    assert (done.code, machine.files(), machine.log) == (64, {}, [])
    assert said in done.err


# ---------------------------------------------------------------- cron

OTHERS = "MAILTO=it@example.com\n0 4 * * * /usr/bin/backup --at=100\\%"


def test_where_there_is_no_systemd_it_is_a_line_of_the_crontab(machine: Machine) -> None:
    machine.table.write_text(OTHERS)
    assert machine("install", "--at", "3:05", "--jitter", "30m").code == 0
    first, second, begin, line, end = machine.table.read_text().splitlines()
    assert [first, second] == OTHERS.splitlines()
    assert (begin[:2], end[-5:]) == ("# ", ": end")
    assert line.startswith(f"5 3 * * * {sys.executable} -P -m opdeploy drift check -i '{machine.inventory}' --store ")
    assert line.endswith(" --jitter 30m")


def test_the_first_line_of_a_crontab_and_once_more(machine: Machine) -> None:
    machine("install")
    before = machine.table.read_text()
    assert len(before.splitlines()) == 3
    machine("install")
    assert machine.table.read_text() == before
    assert before.splitlines()[1] in machine("show", where=False).out


def test_taken_out_it_leaves_every_other_line(machine: Machine) -> None:
    machine.table.write_text(OTHERS + "\n")
    machine("install")
    with machine.table.open("a") as file:
        file.write("@daily later\n")
    assert machine("remove").out == "removed: its line in the crontab\n"
    assert machine.table.read_text() == OTHERS + "\n@daily later\n"
    assert machine("remove").out.startswith("nothing was scheduled")


def test_a_block_without_its_end_is_for_a_person_to_mend(machine: Machine) -> None:
    machine("install")
    broken = "".join(machine.table.read_text().splitlines(keepends=True)[:2]) + "@daily theirs\n"
    machine.table.write_text(broken)
    for command in ("install", "remove"):
        done = machine(command)
        assert (done.code, machine.table.read_text()) == (64, broken)
        assert "crontab -e" in done.err


def test_it_is_not_scheduled_twice_by_two(machine: Machine) -> None:
    machine("install")
    machine.boot()
    done = machine("install")
    assert done.code == 64
    assert "it is scheduled already: a line in the crontab" in done.err
    assert machine.files() == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--at", "Mon..Fri 02:30"), "cron is told a time of the day"),
        (("--credential", "op:/etc/hostname"), "cron gives no credentials"),
    ],
)
def test_what_cron_can_not_do_is_refused(arguments: tuple[str, ...], said: str, machine: Machine) -> None:
    done = machine("install", *arguments)
    assert (done.code, machine.table.exists()) == (64, False)
    assert said in done.err


def test_without_systemd_and_cron_it_says_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.folder / "empty"))
    done = machine("install")
    assert done.code == 64
    assert "there is no crontab here, and no systemd" in done.err


# ---------------------------------------------------------------- quoting

PATHS = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=40)
AWKWARD = r"""/a b/100%/$HOME/${x}/"it's"/\\back\/%%\%'\'/ö"""


def nightly(text: str) -> Nightly:
    return Nightly("opdeploy-drift-x", Path("/", text), ("/usr/bin/python3", "-i", text), Path("/", text))


def line_of(unit: str, key: str) -> str:
    (line,) = [line for line in unit.splitlines() if line.startswith(f"{key}=")]
    return line.removeprefix(f"{key}=")


def words(value: str) -> list[str]:
    """As systemd splits a line (extract-word.c, with quotes and escapes), and then resolves specifiers."""
    found = []
    for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"(?: |$)', value):
        word = re.sub(r"\\(.)", r"\1", quoted)
        assert "%" not in word.replace("%%", "")
        found.append(word.replace("%%", "%"))
    assert value == " ".join(systemd.quoted(word) for word in found), "nothing is left over"
    return found


@settings(max_examples=100, deadline=None)
@given(PATHS)
@example(AWKWARD)
@example("ends with \\")
def test_systemd_reads_any_path_as_it_is(text: str) -> None:
    unit = systemd.service(nightly(text), system=False)
    assert words(line_of(unit, "ExecStart")) == [":/usr/bin/python3", "-i", text]
    assert words(line_of(unit, "ReadWritePaths")) == [str(Path("/", text))]
    assert not re.search(r"\\$", unit, re.MULTILINE), "such a line would go on in the next"


def as_cron_passes_it_on(command: str) -> str:
    """What the shell gets: do_command.c of Vixie's cron."""
    out: list[str] = []
    escaped = False
    for character in command:
        if escaped and character in "%\\":
            out.pop()
        assert escaped or character != "%", "the command would end here"
        out.append(character)
        escaped = not escaped and character == "\\"
    return "".join(out)


@settings(max_examples=100, deadline=None)
@given(PATHS)
@example(AWKWARD)
@example("")
def test_cron_and_its_shell_read_any_path_as_it_is(text: str) -> None:
    for command in (crontab.word(text), as_cron_passes_it_on(crontab.word(text))):  # some crons leave the backslash
        done = subprocess.run(["/bin/sh", "-c", f"printf '%s|' {command} end"], capture_output=True, text=True, check=True)
        assert done.stdout == f"{text}|end|"


@pytest.mark.parametrize("text", ["line\nline", "tab\there", "\x1b[31m", "\udcff"])
def test_what_can_not_be_printed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="can't be written into a schedule"):
        nightly(text)


def test_systemd_starts_no_program_with_a_quote_in_its_path() -> None:
    with pytest.raises(UsageError, match="systemd starts no program"):
        systemd.service(Nightly("x", Path("/"), ("/it's/python",), Path("/")), system=False)


# ---------------------------------------------------------------- systemd's own word

ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("system", [False, True])
def test_systemd_finds_nothing_wrong_with_the_units(system: bool, tmp_path: Path) -> None:
    given = Nightly(
        "opdeploy-drift-x", Path(AWKWARD), (sys.executable, "-i", AWKWARD), Path(AWKWARD), "Mon..Fri 02:30", 1800, 7200,
        getpass.getuser() if system else "", {"op": Path("/etc/host name%")}, {"OPDEPLOY_CONFIG": AWKWARD},
    )  # fmt: skip
    (tmp_path / "x.service").write_text(systemd.service(given, system))
    (tmp_path / "x.timer").write_text(systemd.timer(given))
    assert ANALYZE
    command = [
        ANALYZE,
        "verify",
        *([] if system else ["--user"]),
        "--man=no",
        str(tmp_path / "x.service"),
        str(tmp_path / "x.timer"),
    ]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "x." in line]) == (0, [])


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
def test_a_time_that_systemd_does_not_know_is_refused(machine: Machine) -> None:
    machine.boot()
    done = machine("install", "--at", "every full moon")
    assert (done.code, machine.files()) == (64, {})
    assert "Failed to parse calendar specification" in done.err
