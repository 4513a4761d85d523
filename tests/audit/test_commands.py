"""``--commands`` shows the calls that apply makes, no more and no fewer: held against what the agents were really sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from lab_practice import desired_by_host, writes_in
from labs import Box, applied, box

from opdeploy import engine
from opdeploy.calls import Call
from opdeploy.commands import line
from opdeploy.lab import tampering
from opdeploy.lab.windows import servers
from opdeploy.lab.windows.state import State
from opdeploy.model import ExitCode, Secret
from opdeploy.planning import Desired
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Resource
from opdeploy.resources.directory import Directory
from opdeploy.resources.local_user import LocalUser
from opdeploy.results import HostResult
from opdeploy.store import Store
from opdeploy.windows.restarts import RESTART_WINRM

pytestmark = pytest.mark.usefixtures("no_pauses")
LATER = "<known after apply>"
SERVERS = {"db1": servers.database_server, "backup1": servers.backup_station, "ts1": servers.terminal_server}
REFERENCE = re.compile(r"<SID of \.\\([^>]*)>")
PUSHED = re.compile(r"opdeploy-[0-9a-f]{32}\\[^']+")
SHADED = re.compile(r"(& '[^']+' ).*? (<(?:fetched|SHA))")
HANGS = re.compile(
    r"Set-Acl |Remove-Item -LiteralPath \"\$env:ProgramData|New-Item |Add-Content |Move-Item |Register-PSS|Unregister-PSS|"
    r"(sc\.exe|Start-Service|Stop-Service|Restart-Service|Set-NetFirewallRule) "
)
SHUT = Directory(path=r"D:\X", inherits=False, keep_inherited=False)


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desired]:
    return desired_by_host(tmp_path_factory.mktemp("practice") / "lab")


def planned(store: Store, job: engine.Job) -> HostResult:
    (result,) = engine.plan([job], store)
    return result


def sent(made: Box, store: Store, job: engine.Job) -> list[str]:
    before = len(made.heard)
    assert applied(store, job).code == ExitCode.OK
    return list(told(writes_in(made.heard[before:])))


def told(calls: Sequence[Call]) -> Iterator[str]:
    """As `--commands` tells them: what is pushed into a job's folder is one copy, however many pieces it takes. WinRM started
    anew and the event of the work log are the run's end and no change's."""
    for call in calls:
        if call.args.get("id") == RESTART_WINRM or call.args.get("name") == "Write-EventLog":
            continue
        pushed = PUSHED.search(str(call.args.get("path")))
        if not pushed:
            yield shaded(line(call))
        elif call.verb == "file.commit":
            yield f"push {pushed[0]}"


def shaded(text: str) -> str:
    """An installer's line with a secret in it: said without the secret, and heard as a secret whole."""
    return SHADED.sub(r"\1(secret) \2", text) if "(secret)" in text or "the request" in text else text


def pushes(said: Sequence[str]) -> list[str]:
    """Copies into a job's folder without where they come from."""
    return [f"push {PUSHED.search(text)[0]}" if text.startswith("Copy-Item") else shaded(text) for text in said]  # type: ignore[index]


def with_sids(lines: Sequence[str], state: State) -> list[str]:
    """Each ``<SID of .\\name>`` by what the host gave the account."""
    sids = {user["name"].lower(): sid for sid, user in state.users.items()}
    return [REFERENCE.sub(lambda found: sids[found[1].lower()], text) for text in lines]


def fits(said: Sequence[str], made: Sequence[str]) -> bool:
    """Whether what was made is what was said, in order. `LATER` may stand for any number of lists, files, and a job's end."""
    if not said:
        return not made
    if said[0] != LATER:
        return bool(made) and made[0] == said[0] and fits(said[1:], made[1:])
    return fits(said[1:], made) or (bool(made) and bool(HANGS.match(made[0])) and fits(said, made[1:]))


@pytest.mark.parametrize("name", SERVERS)
def test_what_is_said_is_what_is_sent(name: str, practice: dict[str, Desired], store: Store) -> None:
    with box(SERVERS[name]()) as made:
        job = made.of(practice[name])
        said = pushes([text for item in planned(store, job).items for text in item.commands])
        made_calls = sent(made, store, job)
        said = with_sids(said, made.state)
    assert sum(text != LATER for text in said) > 25
    collapsed = [text for n, text in enumerate(said) if text != LATER or said[n - 1 : n] != [LATER]]
    assert fits(collapsed, made_calls)


def test_every_line_is_known_where_everything_is_there(practice: dict[str, Desired], store: Store) -> None:
    """After tampering nothing hangs on what the plan makes: the lines are the calls, letter by letter."""
    with box(servers.terminal_server()) as made:
        job = made.of(practice["ts1"])
        assert applied(store, job).code == ExitCode.OK
        told = list(tampering.tamper(made.state))
        said = [text for item in planned(store, job).items for text in item.commands]
        assert len(told) == 7
        assert LATER not in said
        assert sent(made, store, job) == said


def rule(path: str, principal: str, rights: str = "Read") -> AccessRule:
    return AccessRule.model_validate({"path": path, "principal": principal, "rights": rights})


def test_several_rules_of_one_folder_each_show_the_list_that_they_leave(db1: Box, store: Store) -> None:
    applied(store, db1.job([Directory(path=r"D:\X")]))
    job = db1.job([rule(r"D:\X", "Guests"), rule(r"D:\X", "Backup Operators")])
    said = [text for item in planned(store, job).items for text in item.commands]
    assert said[1].count(";;;BG)") == said[1].count(";;;S-1-5-32-551)") == 1
    assert sent(db1, store, job) == said


def test_after_a_list_that_names_an_account_of_this_plan_the_next_is_known_after_apply(db1: Box, store: Store) -> None:
    applied(store, db1.job([Directory(path=r"D:\X")]))
    op = LocalUser(name="op", password=Secret("An0ther-Passw0rd!", "env:OP"))
    job = db1.job([op, rule(r"D:\X", r".\op"), rule(r"D:\X", "Guests")])
    said = [text for item in planned(store, job).items for text in item.commands]
    assert r";;;<SID of .\op>)" in said[1]
    assert said[2] == LATER
    assert sent(db1, store, job)[:2] == with_sids(said[:2], db1.state)


def test_what_a_parents_list_may_satisfy_is_known_after_apply(db1: Box, store: Store) -> None:
    applied(store, db1.job([Directory(path=r"D:\X"), Directory(path=r"D:\X\Y")]))
    job = db1.job([rule(r"D:\X", "Guests"), rule(r"D:\X\Y", "Guests")])
    above, below = planned(store, job).items
    assert below.commands == (LATER,)
    assert sent(db1, store, job) == list(above.commands)


def test_a_new_folders_owner_and_closing_follow(db1: Box, store: Store) -> None:
    closed: list[Resource] = [Directory(path=r"D:\X", inherits=False), Directory(path=r"D:\Y")]
    shut, plain = planned(store, db1.job(closed)).items
    assert shut.commands == (r"New-Item -ItemType 'Directory' -Path 'D:\X'", LATER)
    assert plain.commands == (r"New-Item -ItemType 'Directory' -Path 'D:\Y'",)


def test_a_folder_that_is_closed_keeps_whom_the_inventory_lets_in(db1: Box, store: Store) -> None:
    """Users had it from above: planned against what closing leaves, their rule is a change, made in the same run."""
    applied(store, db1.job([Directory(path=r"D:\X")]))
    job = db1.job([SHUT, rule(r"D:\X", "Users", "ReadAndExecute")])
    assert [item.change.action for item in planned(store, job).items] == ["update", "create"]
    assert applied(store, job).status == "in_sync"
    assert planned(store, job).status == "in_sync"


def test_what_a_run_took_from_what_was_in_sync_is_never_called_in_sync(db1: Box, store: Store) -> None:
    applied(store, db1.job([Directory(path=r"D:\X"), Directory(path=r"D:\X\Y")]))
    job = db1.job([SHUT, rule(r"D:\X\Y", "Users", "ReadAndExecute")])
    result = applied(store, job)
    shut, below = result.items
    assert (shut.outcome, below.outcome, below.change.verdict) == ("applied", None, "would_change")
    assert "plan and apply again" in below.change.reason
    assert result.code == ExitCode.CHANGES
    assert applied(store, job).status == "in_sync"
