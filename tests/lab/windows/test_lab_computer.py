"""The machine as the WS-Man front asks it: who may log on, what a command line starts, and that real sessions reach it."""

import base64
import json

import pytest
from lab_asking import agent_source

from opdeploy import calls
from opdeploy.lab.http import serve
from opdeploy.lab.shells import Around
from opdeploy.lab.windows import accounts, console, servers
from opdeploy.lab.windows.computer import Behaviour, Computer, LoggedOn
from opdeploy.lab.windows.wire import request_lines
from opdeploy.model import HostError, Secret
from opdeploy.windows import agent
from opdeploy.windows.session import open as open_session
from opdeploy.windows.winrs import Target

ADMIN = servers.ADMIN


def start(computer, line, **options):
    account = computer.logon(ADMIN, servers.PASSWORD)
    return computer.start(line, account, **({"skip_cmd": False} | options))


def said(process, seconds=5):
    pieces, code = [], None
    while code is None:
        received = process.output.take(1 << 20, seconds)
        pieces += received.pieces
        code = received.exit_code
    text = {stream: b"".join(data for name, data in pieces if name == stream).decode() for stream in ("stdout", "stderr")}
    return text["stdout"], text["stderr"], code


def test_who_may_log_on(computer):
    assert computer.logon("OPADMIN", servers.PASSWORD) == LoggedOn(ADMIN, accounts.sid_of(computer.state, f".\\{ADMIN}"))
    assert computer.logon(ADMIN, None) is not None
    assert computer.logon(ADMIN, "wrong") is None
    assert computer.logon("nobody", "x") is None
    assert computer.logon("Guest", "") is None
    computer.state.rights["SeDenyNetworkLogonRight"] = ["S-1-5-114", "S-1-5-32-544"]
    assert computer.logon(ADMIN, servers.PASSWORD) is None


def test_the_built_in_administrator_may_be_the_sessions_user():
    for host in (servers.backup_station, servers.database_server):
        computer = Computer(host(admin="Administrator"))
        account = computer.logon("Administrator", servers.PASSWORD)
        assert account is not None
        assert account.sid.endswith("-500")
        assert computer.token(account).elevated


def test_the_passwords_for_ntlm_are_those_of_accounts_that_may_log_on(computer):
    computer.state.users[accounts.sid_of(computer.state, ".\\Administrator")]["enabled"] = False
    assert dict(computer.accounts_for_ntlm()) == {ADMIN: servers.PASSWORD}


def test_a_user_without_rights_gets_no_shell():
    computer = Computer(servers.terminal_server())
    account = computer.logon("doctor", None)
    assert not computer.may_open_shell(account)
    with pytest.raises(PermissionError):
        computer.start("hostname", account, skip_cmd=False)


def test_the_agent_is_known_by_its_loaders_and_answers_at_once(computer):
    for raw in (False, True):
        process = start(computer, agent.command_line(raw))
        text = "\n".join([*agent_source(write_half=False).splitlines(), ".", *request_lines(5, [calls.host_read()], 0), ""])
        process.feed(text[:1000].encode(), end=False)
        process.feed(text[1000:].encode(), end=True)
        stdout, stderr, code = said(process)
        first, last = [json.loads(line.removeprefix("opdeploy ")) for line in stdout.splitlines()]
        assert first["value"]["name"] == "DB1"
        assert (last, stderr, code) == ({"id": 5, "done": 1}, "", 0)
        with pytest.raises(BrokenPipeError):
            process.feed(b"x", end=False)


def test_constrained_language_mode_is_said_in_the_loaders_one_line():
    process = start(Computer(servers.constrained(servers.bare())), agent.command_line())
    assert said(process) == ("opdeploy {'language':'ConstrainedLanguage'}\r\n", "", 3)


def test_a_deaf_loader_stays_silent_and_the_raw_one_hears(computer):
    computer.behaviour.deaf_to_input = True
    line = "\n".join([agent_source(write_half=False).rstrip(), ".", *request_lines(1, [calls.host_read()], 0), ""])
    for raw, heard in ((False, False), (True, True)):
        process = start(computer, agent.command_line(raw))
        process.feed(line.encode(), end=True)
        assert bool(said(process)[0]) is heard


def encoded(text):
    return "powershell -NoProfile -EncodedCommand " + base64.b64encode(text.encode("utf-16-le")).decode()


@pytest.mark.parametrize(
    ("line", "stdout", "code"),
    [
        ("hostname", "DB1\r\n", 0),
        ("cmd.exe /c hostname", "DB1\r\n", 0),
        ("whoami", "db1\\opadmin\r\n", 0),
        (encoded("hostname"), "DB1\r\n", 0),
        (encoded("$ProgressPreference = 'SilentlyContinue'; $env:COMPUTERNAME"), "DB1\r\n", 0),
        (encoded("exit 9"), "", 9),
        ("powershell.exe -NoProfile -NonInteractive -Command \"Write-Output 'a b'\"", "a b\r\n", 0),
        ("cmd /c exit 3", "", 3),
        ("echo hello", "hello\r\n", 0),
    ],
)
def test_the_table_of_commands(computer, line, stdout, code):
    assert said(start(computer, line)) == (stdout, "", code)


def test_what_is_not_in_the_table_is_an_error_that_names_the_lab(computer):
    stdout, stderr, code = said(start(computer, encoded("Get-Process | Stop-Process")))
    assert (stdout, code) == ("", 1)
    assert "not known to the lab" in stderr


def test_a_text_over_stdin_is_run_when_it_has_ended(computer):
    process = start(computer, " ".join(("powershell.exe", *agent.reader_arguments())))
    process.feed(b"host", end=False)
    process.feed(b"name", end=True)
    assert said(process) == ("DB1\r\n", "", 0)


def test_without_cmd_only_a_full_path_starts(computer):
    with pytest.raises(FileNotFoundError):
        start(computer, "powershell.exe -NoProfile -Command hostname", skip_cmd=True)
    line = f"{agent.EXECUTABLE} -NoProfile -Command hostname"
    assert said(start(computer, line, skip_cmd=True))[0] == "DB1\r\n"


def test_powershell_takes_its_time_and_a_terminated_one_says_nothing():
    computer = Computer(servers.bare(), Behaviour(powershell_start=0.01))
    assert said(start(computer, encoded("hostname")))[0] == "HOST1\r\n"
    process = start(Computer(servers.bare(), Behaviour(powershell_start=60)), encoded("hostname"))
    process.terminate()
    assert process.output.exit_code is None


@pytest.mark.parametrize(
    "line", ["", '"', "powershell", "powershell -EncodedCommand !!", "cmd /c", "powershell -e AAA", "a" * 9000]
)
def test_no_command_line_breaks_the_table(computer, line):
    result = console.run(computer.state, computer.token(LoggedOn(ADMIN, "")), console.read(line), Around())
    assert result.exit in (0, 1)


def test_ask_hides_no_failure_and_numbers_secrets(computer):
    new = [calls.cmdlet_write("New-LocalUser", Name=f"u{number}", Password=Secret(f"p{number}")) for number in (1, 2)]
    probes = [calls.logon_probe("u1", Secret("p1")), calls.logon_probe("u2", Secret("p1"))]
    answers = computer.ask([*new, *probes], 2, source=agent_source())
    assert answers == [None, None, {"right": True}, {"right": False}]


def test_a_real_session_over_ws_man_plans_and_writes(computer):
    server = serve(computer)
    target = Target("127.0.0.1", server.port, https=False, user=ADMIN, password=Secret(servers.PASSWORD))
    try:
        for write in (False, True):
            session = open_session(target, write=write)
            call = calls.cmdlet_write("New-LocalUser", Name="op-support", Password=Secret("S3cret-of-op"))
            denied, machine = session.ask([call, calls.host_read()], writes=1)
            session.close()
            assert machine["user_name"] == "DB1\\opadmin"
            assert getattr(denied, "id", None) == (None if write else "opdeploy.NoVerb")
    finally:
        server.stop()
    assert accounts.sid_of(computer.state, ".\\op-support")


def test_a_user_without_rights_is_told_so_in_one_line():
    server = serve(Computer(servers.terminal_server()))
    target = Target("127.0.0.1", server.port, https=False, user="doctor", password=Secret("Lab-doctor-2!"))
    try:
        with pytest.raises(HostError, match="access denied"):
            open_session(target)
    finally:
        server.stop()
