"""A session over real WS-Man: few POSTs, every answer or a reason, no write twice, no shell left behind."""

import gc
import socket
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_host import USER, Host, decoded, echo, target_of
from winrm.exceptions import WSManFaultError

from opdeploy.calls import SESSION_LOST, SKIPPED, TIMED_OUT, Call, Failure, logon_probe
from opdeploy.lab.certificates import Certificates
from opdeploy.lab.http import Server
from opdeploy.lab.settings import Settings
from opdeploy.model import HostError, HostFailed, Secret, UsageError
from opdeploy.windows import agent
from opdeploy.windows.explain import explained
from opdeploy.windows.session import Ended, Session, open
from opdeploy.windows.winrs import Limits

pytestmark = pytest.mark.slow
SHORT = Limits(deadline=1, first_answer=1)


def actions(server: Server) -> list[str]:
    return [entry.action for entry in server.log if entry.action]


def ids(answers: list[Any]) -> list[Any]:
    return [answer.id if isinstance(answer, Failure) else answer for answer in answers]


# ---------------------------------------------------------------- the plain way


def test_a_first_request_takes_four_operations_and_each_further_one_two(session: Session, server: Server) -> None:
    assert session.ask([echo(str(n)) for n in range(200)]) == [str(n) for n in range(200)]
    assert actions(server) == ["Create", "Command", "Send", "Receive"]
    assert session.ask([echo("again")]) == ["again"]
    assert actions(server)[4:] == ["Send", "Receive"]


def test_all_posts_and_bytes_are_counted(server: Server) -> None:
    with open(target_of(server)) as session:
        session.ask([echo("x" * 5000)])
    assert (session.counters.posts, session.counters.bytes_sent) == (server.posts, server.bytes_in)
    assert session.counters.bytes_received == server.bytes_out
    assert (session.counters.logins, session.counters.loader) == (1, "plain")


def test_any_text_arrives_and_returns(session: Session) -> None:
    texts = ["", "ä ‘’‚‛' \" ` $x", "2024-01-05T02:00:00Z", "\u2028\u2029\x00\r\n", "\U0001f600", "opdeploy {}"]
    assert session.ask([echo(text) for text in texts]) == texts


def test_a_request_of_any_length_goes_in_pieces(server: Server) -> None:
    text = "äß" * 100_000
    with open(target_of(server), settings=Limits(chunk=100_000)) as session:
        assert session.ask([echo(text)]) == [text]
    assert actions(server).count("Send") > 10


def test_only_a_session_that_writes_is_sent_the_write_half(server: Server, host: Host) -> None:
    for write in (False, True):
        with open(target_of(server), write=write) as session:
            session.ask([echo("x")])
        assert ("cmdlet.write" in "\n".join(host.lines)) == write


def test_a_failed_write_leaves_out_the_rest_of_the_writes_and_reads_go_on(session: Session, host: Host) -> None:
    given = [Call("write"), Call("fail"), Call("write"), echo("read back")]
    assert ids(session.ask(given, writes=3)) == ["", "Broken", SKIPPED, "read back"]
    assert host.ran == ["write", "fail", "echo"]


def test_no_calls_are_no_request(session: Session, server: Server) -> None:
    assert session.ask([]) == []
    assert actions(server) == ["Create", "Command"]


def test_basic_and_certificates_over_https(secure_server: Server, certificates: Certificates) -> None:
    pair = certificates.for_client(USER)
    ways: list[dict[str, Any]] = [
        {"transport": "basic"},
        {"transport": "ntlm"},
        {"transport": "certificate", "cert_pem": pair.certificate, "cert_key_pem": pair.key},
    ]
    for way in ways:
        with open(target_of(secure_server, ca=certificates.authority.certificate, **way)) as session:
            assert session.ask([echo("ä")]) == ["ä"]


# ---------------------------------------------------------------- no shell left behind


def test_a_session_ends_its_command_and_its_shell(server: Server, host: Host) -> None:
    with open(target_of(server)) as session:
        session.ask([echo("x")])
    session.close()
    assert actions(server)[-2:] == ["Signal", "Delete"]
    assert (len(server.service.shells), host.terminated) == (0, 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_also_after_an_exception(server: Server, error: type[BaseException]) -> None:
    def run() -> None:
        with open(target_of(server)) as session:
            for _ in session.answers([echo("a"), echo("b")]):
                raise error

    with pytest.raises(error):
        run()
    assert len(server.service.shells) == 0


def test_also_when_the_start_failed(server: Server, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "start", interrupted)
    monkeypatch.setattr(agent, "arguments", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open(target_of(server))
    assert len(server.service.shells) == 0


# ---------------------------------------------------------------- deadlines, and what breaks


def test_the_call_that_hangs_is_found_and_the_others_are_answered(session: Session, server: Server) -> None:
    given = [echo("before"), Call("hang"), echo("after")]
    session.ask([echo("x")])
    assert ids(session.ask(given)) == ["before", TIMED_OUT, "after"]
    session.close()
    assert len(server.service.shells) == 0


def test_a_write_that_hangs_is_not_sent_again(session: Session, host: Host) -> None:
    session.ask([echo("x")])
    answers = session.ask([Call("write"), Call("hang"), Call("write"), echo("read")], writes=3)
    assert ids(answers) == ["", SESSION_LOST, SESSION_LOST, "read"]
    assert "may or may not have happened" in answers[1].message
    assert Counter(host.ran) == {"echo": 2, "write": 1, "hang": 1}


def test_a_process_that_dies_is_started_again_for_reads(session: Session) -> None:
    session.ask([echo("x")])
    assert ids(session.ask([echo("a"), Call("die"), echo("b")])) == ["a", SESSION_LOST, "b"]
    assert ids(session.ask([Call("die")])) == [SESSION_LOST]
    assert session.ask([echo("c")]) == ["c"]


def test_a_connection_that_was_dropped_while_idle_is_logged_in_again(session: Session, server: Server, host: Host) -> None:
    session.ask([echo("a")])
    server.drop_connections()
    assert session.ask([Call("write"), echo("b")], writes=1) == ["", "b"]
    assert host.ran == ["echo", "write", "echo"]
    assert len(host.started) == 1


def test_after_idleness_it_logs_in_first(server: Server) -> None:
    with open(target_of(server), settings=replace(SHORT, idle=0)) as session:
        assert session.ask([echo("a")]) == ["a"]
        assert session.counters.logins == len(actions(server))


def test_reads_survive_a_connection_that_breaks(session: Session, host: Host) -> None:
    session.ask([echo("x")])
    host.drops = 1
    assert session.ask([echo("a"), echo("b")]) == ["a", "b"]


def test_a_shell_is_left_before_it_is_used_up(server: Server, host: Host) -> None:
    with open(target_of(server), settings=replace(SHORT, operations=6)) as session:
        for n in range(5):
            assert session.ask([Call("write"), echo(str(n))], writes=1) == ["", str(n)]
    assert len(host.started) > 1
    assert host.ran.count("write") == 5


def test_a_shell_that_is_used_up_all_the_same_is_replaced(settings: Settings, server: Server, host: Host) -> None:
    settings.max_operations_per_shell = 8
    with open(target_of(server), settings=SHORT) as session:
        for n in range(8):
            assert session.ask([echo(str(n))]) == [str(n)]
    assert len(host.started) > 1
    assert len(server.service.shells) == 0


def test_a_host_that_takes_nothing_any_more_is_an_error_and_no_endless_loop(
    session: Session, settings: Settings, server: Server, host: Host
) -> None:
    session.ask([echo("x")])
    settings.max_operations_per_shell = 1
    with pytest.raises(HostError, match="takes no requests"):
        session.ask([Call("write")], writes=1)
    assert "write" not in host.ran
    session.close()
    assert len(server.service.shells) == 0


def test_a_host_that_vanishes_in_a_write_loses_the_session_not_the_run(server: Server, host: Host) -> None:
    with open(target_of(server), settings=SHORT) as session:
        session.ask([echo("x")])
        server.settings.garbage = b"<html>"
        assert ids(session.ask([Call("write"), echo("read")], writes=1)) == [SESSION_LOST, SESSION_LOST]
        with pytest.raises(HostError):
            session.ask([echo("read")])


# ---------------------------------------------------------------- how it is started


def test_where_nothing_starts_directly_it_goes_through_cmd(host: Host, server: Server) -> None:
    host.no_direct_start = True
    with open(target_of(server), settings=SHORT) as session:
        assert session.ask([echo("x")]) == ["x"]
    assert host.started == [" ".join((agent.EXECUTABLE, *agent.arguments())), agent.command_line()]
    assert len(server.service.shells) == 0


def test_where_the_first_answer_stays_away_the_other_loader_is_tried(host: Host, server: Server) -> None:
    host.deaf = "plain"
    with open(target_of(server), settings=SHORT) as session:
        assert session.ask([Call("write"), echo("x")], writes=1) == ["", "x"]
        assert session.counters.loader == "raw"
    assert host.ran == ["write", "echo"]
    assert len(server.service.shells) == 0


# ---------------------------------------------------------------- errors, one plain line each


def told(given: Callable[[], Any]) -> str:
    with pytest.raises(HostError) as caught:
        given()
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value.message


def asked(target: Any) -> Callable[[], Any]:
    def run() -> None:
        with open(target, settings=SHORT) as session:
            session.ask([echo("x")])

    return run


def test_a_wrong_password(server: Server) -> None:
    assert "login refused for Administrator" in told(asked(target_of(server, password=Secret("wr0ng-Pass"))))


def test_an_untrusted_certificate(secure_server: Server, monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority.certificate))
    assert "certificate is not trusted" in told(asked(target_of(secure_server)))


def test_a_certificate_for_another_name(secure_server: Server, certificates: Certificates) -> None:
    message = told(asked(target_of(secure_server, ca=certificates.authority.certificate, address="127.1")))
    assert "certificate is not trusted" in message


def test_certificate_checks_can_be_turned_off(secure_server: Server) -> None:
    asked(target_of(secure_server, verify=False))()


def test_a_closed_port(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "the port is closed" in told(asked(target_of(server, port=free.getsockname()[1])))


def test_a_name_nobody_knows(server: Server) -> None:
    assert "can't be resolved" in told(asked(target_of(server, address="no-such-host.invalid")))


def test_a_host_that_hangs(server: Server) -> None:
    server.settings.hang = True
    assert "in time" in told(asked(target_of(server)))


def test_something_that_is_not_winrm(server: Server) -> None:
    server.settings.garbage = b"<html>hello</html>"
    assert "what answers there is not WinRM" in told(asked(target_of(server)))


def test_plain_http_where_tls_is_spoken(secure_server: Server, server: Server) -> None:
    assert secure_server.url.startswith("https")
    assert "no TLS could be agreed on" in told(asked(target_of(server, https=True)))


def test_a_process_that_is_not_the_agent(host: Host, server: Server) -> None:
    host.deaf, host.banner = "both", "This PC is protected by ACME"
    message = told(asked(target_of(server)))
    assert "is not the agent" in message
    assert "protected by ACME" in message


def test_constrained_language_mode(host: Host, server: Server) -> None:
    host.language = "ConstrainedLanguage"
    with pytest.raises(HostFailed, match="ConstrainedLanguage mode"):
        asked(target_of(server))()


def test_too_many_shells(settings: Settings, server: Server) -> None:
    settings.max_shells_per_user = 0
    assert "as many remote shells open" in told(asked(target_of(server)))


def test_a_user_who_may_not_open_a_shell(server: Server) -> None:
    fault = WSManFaultError(500, "m", "<whole response>", "Access is denied.", "s:Sender", "w:AccessDenied", 5)
    error = explained(target_of(server), fault)
    assert isinstance(error, HostError)
    assert "access denied: Administrator may not open a remote shell" in error.message
    assert "whole response" not in error.message


@pytest.mark.parametrize("transport", ["basic", "certificate"])
def test_nothing_goes_unsealed(server: Server, transport: str) -> None:
    with pytest.raises(UsageError, match="only for HTTPS"):
        open(target_of(server, transport=transport))
    assert server.posts == 0


# ---------------------------------------------------------------- a text of somebody's own


def test_a_text_runs_beside_the_agent(session: Session, server: Server) -> None:
    session.ask([echo("x")])
    assert session.run_text("Get-Date 'ä'") == Ended(7, "Get-Date 'ä'", "told")
    assert session.run_text("dir & ver", shell="cmd") == Ended(7, "dir & ver", "told")
    assert session.ask([echo("y")]) == ["y"]
    assert len(server.service.shells) == 1


def test_a_text_that_does_not_end_is_ended(session: Session, server: Server) -> None:
    with pytest.raises(HostError, match="did not end in time"):
        session.run_text("hang", shell="cmd", seconds=1)
    assert len(server.service.shells) == 1


# ---------------------------------------------------------------- secrets


def test_a_secret_is_sent_on_its_own_line_only(session: Session, host: Host) -> None:
    session.ask([logon_probe("op", Secret("ganz geheim", "env:X"))])
    lines = host.lines[-2:]
    assert decoded(lines[0]) == "ganz geheim"
    assert "geheim" not in lines[1]


def test_no_error_tells_a_password(server: Server, tmp_path: Path) -> None:
    for changed in ({"password": Secret("wrong ganz geheim")}, {"transport": "basic", "password": Secret("ganz geheim")}):
        target = target_of(server, **changed)
        with pytest.raises((HostError, UsageError)) as caught:
            asked(target)()
        shown = "".join(traceback.format_exception(caught.value)) + repr(target) + repr(vars(caught.value))
        assert "geheim" not in shown
        assert caught.value.__cause__ is None
    gc.collect()
