"""Folders, access rules, registry values and files against the lab's Windows: once applied, nothing is left to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from opdeploy import planning
from opdeploy.calls import Call, Failure, Write, file_read, shown
from opdeploy.guard import Session
from opdeploy.lab.windows import files, servers, source, verbs
from opdeploy.lab.windows.accounts import Token
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.state import State
from opdeploy.model import Change, Property, Secret
from opdeploy.planning import Desired, Managed, World, plan_one
from opdeploy.resources import file as file_kind
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Answers, Resource, Scope
from opdeploy.resources.directory import Directory
from opdeploy.resources.file import File
from opdeploy.resources.registry_value import RegistryValue
from opdeploy.windows import agent

ADMINISTRATOR = Token("S-1-5-21-1-2-3-500", "DB1\\Administrator", ("S-1-5-32-544", "S-1-5-32-545", "S-1-1-0"), True)
AGENT = source.read(agent.source(write=True))


class Host:
    """One of the lab's servers, asked and changed as the engine does it, without a wire."""

    def __init__(self, state: State) -> None:
        self.context = verbs.Context(state, ADMINISTRATOR, AGENT)
        self.written: list[Write] = []

    def run(self, call: Call) -> Any:
        arguments = {name: value.reveal() if isinstance(value, Secret) else value for name, value in call.args.items()}
        try:
            return verbs.VERBS[call.verb](self.context, arguments)
        except Refused as refused:
            return Failure(str(refused), id="refused")

    def observe(self, desired: Desired) -> World:
        seen = {read.key: self.run(read) for read in planning.first_reads(desired)}
        seen |= {read.key: self.run(read) for read in planning.second_reads(desired, seen)}
        return World(planning.machine(seen), seen, Session())

    def plan(self, desired: Desired) -> list[Change[Any]]:
        return planning.plan(desired, self.observe(desired))

    def apply(self, desired: Desired) -> None:
        """Each change from the newest answers, in two passes at most; an error of Windows' fails the test."""
        changes = self.plan(desired)
        world = self.observe(desired)
        for planned in changes:
            for _ in range(2):
                change = plan_one(Managed(planned.resource), world)
                if change.verdict == "in_sync":
                    break
                assert change.action != "none", change.reason
                self.write(change, world)
                reads = [*planning.reads_of(change.resource), *planning.stirred_reads(change.resource, desired)]
                world.observation |= {read.key: self.run(read) for read in reads}
            left = plan_one(Managed(planned.resource), world)
            assert left.verdict == "in_sync", (left.resource.key, left.properties, left.reason)

    def write(self, change: Change[Any], world: World) -> None:
        for write in change.resource.writes(change, world.answers(change.resource)):
            self.written.append(write)
            answer = self.run(write)
            assert not isinstance(answer, Failure), answer.message


def desired(*resources: Resource, scopes: Iterable[Scope] = ()) -> Desired:
    return Desired(tuple(map(Managed, resources)), tuple((scope, ()) for scope in scopes))


OP = r"D:\OP"
DRIVE = "O:SYG:SYD:(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)"
FOLDERS = (
    Directory(path=OP, owner="Administrators", inherits=False),
    Directory(path=rf"{OP}\gbd\archive"),
    Directory(path=rf"{OP}\gbd", owner="SYSTEM"),
    AccessRule(path=OP, principal="Users", rights="Modify"),
    AccessRule(path=OP, principal="Guests", rights="FullControl", type="deny", exact=True),
    AccessRule(path=rf"{OP}\gbd", principal="NETWORK SERVICE", rights=["Read", "Write"], applies_to=["subfolders", "files"]),
    AccessRule(path=rf"{OP}\gbd\archive", principal="CREATOR OWNER", rights="Modify", applies_to=["subfolders", "files"]),
    AccessRule(path=rf"{OP}\gbd\archive", principal="Users", rights="Read", exact=True, propagation="one_level"),
    AccessRule(path=rf"{OP}\gbd\op.ini", principal="Users", rights="Modify", exact=True),
    File(path=rf"{OP}\gbd\op.ini", content="[op]\nname = Größe\n", encoding="cp1252"),
)
VALUES = (
    RegistryValue(path=r"SOFTWARE\OP", name="Port", type="dword", data=4294967295),
    RegistryValue(path=r"SOFTWARE\OP", name="Big", type="qword", data=(1 << 64) - 1),
    RegistryValue(path=r"SOFTWARE\OP", type="string", data="the default value"),
    RegistryValue(path=r"SOFTWARE\OP", name="Home", type="expand_string", data=r"%ProgramFiles%\OP"),
    RegistryValue(path=r"SOFTWARE\OP", name="Servers", type="multi_string", data=["db1", "it's ä"]),
    RegistryValue(path=r"SOFTWARE\OP", name="Nobody", type="multi_string", data=[]),
    RegistryValue(path=r"SOFTWARE\OP", name="Bits", type="binary", data="00 ff"),
    RegistryValue(path=r"SOFTWARE\OP", name="Port", view="32", type="dword", data=1),
)


@pytest.mark.parametrize("state", [servers.database_server, servers.backup_station], ids=["server", "workstation"])
@pytest.mark.parametrize("resources", [FOLDERS, VALUES], ids=["folders", "values"])
def test_applied_once_is_applied(state: Any, resources: tuple[Resource, ...]) -> None:
    host = Host(state())
    servers.put_secured(host.context.state, "D:\\", DRIVE)
    host.apply(desired(*resources))
    assert [change.verdict for change in host.plan(desired(*resources))] == ["in_sync"] * len(resources)
    first = len(host.written)
    host.apply(desired(*resources))
    assert len(host.written) == first


def test_what_a_parent_passes_on_anew_makes_no_child_stale() -> None:
    """A rule on the parent changes what the child inherits, and the child's write says what it expects to find."""
    host = Host(servers.database_server())
    host.apply(desired(Directory(path=OP), Directory(path=rf"{OP}\gbd")))
    rules = [AccessRule(path=path, principal="Guests", rights="Read") for path in (rf"{OP}\gbd", OP)]
    write = AccessRule(path=rf"{OP}\gbd", principal="Guests", rights="Modify")
    host.apply(desired(rules[1], write, scopes=[Scope(AccessRule, rf"{OP}\gbd")]))
    assert all(change.verdict == "in_sync" for change in host.plan(desired(rules[1], write)))


def test_an_owned_folder_loses_what_the_inventory_does_not_name() -> None:
    host = Host(servers.database_server())
    named = AccessRule(path=OP, principal="Users", rights="Read", exact=True)
    unnamed = [
        AccessRule(path=OP, principal="Guests", rights="Modify"),
        AccessRule(path=OP, principal="SYSTEM", rights="FullControl"),
        AccessRule(path=OP, principal="Administrators", rights="FullControl"),
    ]
    host.apply(desired(Directory(path=OP, inherits=False), named, *unnamed))
    owned = desired(Directory(path=OP), named, scopes=[Scope(AccessRule, OP)])
    assert "Guests allow" in " ".join(change.resource.key for change in host.plan(owned) if change.action == "remove")
    host.apply(owned)
    kept = desired(*unnamed[1:])
    assert [change.verdict for change in host.plan(kept)] == ["in_sync", "in_sync"]
    assert host.plan(desired(unnamed[0]))[0].verdict == "would_change"


def test_removed_in_the_order_that_empties_a_folder() -> None:
    host = Host(servers.database_server())
    host.apply(desired(*FOLDERS))
    gone = File(path=rf"{OP}\gbd\op.ini", absent=True)
    host.apply(desired(gone))
    host.apply(desired(Directory(path=rf"{OP}\gbd\archive", absent=True)))
    host.apply(desired(Directory(path=rf"{OP}\gbd", absent=True)))
    assert [change.verdict for change in host.plan(desired(Directory(path=rf"{OP}\gbd", absent=True)))] == ["in_sync"]


@pytest.mark.parametrize("size", [0, 1, file_kind.PIECE, file_kind.PIECE + 1, 2 * file_kind.PIECE + 7])
@pytest.mark.parametrize("sensitive", [False, True])
def test_a_file_of_any_size_arrives_in_pieces(size: int, sensitive: bool) -> None:
    host, content = Host(servers.database_server()), bytes(index % 251 for index in range(size))
    wanted = File(path=r"D:\big.bin", content=content, sensitive=sensitive)
    host.apply(desired(wanted))
    found = host.run(file_read(r"D:\big.bin", length=size + 1))
    assert base64.b64decode(found["bytes"]) == content
    assert len(host.written) == max(1, -(-size // file_kind.PIECE)) + 1


def test_what_a_broken_run_left_is_found_and_removed() -> None:
    host, wanted = Host(servers.database_server()), File(path=r"D:\op.ini", content="x")
    host.apply(desired(wanted))
    files.put_file(host.context.state, r"D:\op.ini.opdeploy", "S-1-5-18", b"half a f")
    (change,) = host.plan(desired(wanted))
    assert change.properties["leftover"].before == "8 bytes"
    host.apply(desired(wanted))
    assert files.find(host.context.state, r"D:\op.ini.opdeploy") is None


def test_contents_with_a_secret_in_them_are_nowhere_to_be_seen() -> None:
    host, secret = Host(servers.database_server()), "hunter2-and-more"
    wanted = File(path=r"D:\op.ini", content=f"password = {secret}\n", sensitive=True)
    host.apply(desired(wanted))
    (change,) = host.plan(desired(File(path=r"D:\op.ini", content="other", sensitive=True)))
    seen = " ".join([repr(wanted), wanted.model_dump_json(), repr(change), *(json.dumps(shown(w.args)) for w in host.written)])
    for form in (secret, base64.b64encode(wanted.content or b"").decode(), wanted.sha256.reveal()):  # type: ignore[union-attr]
        assert form not in seen
    assert wanted.optional_reads() == {}
    assert file_kind.unified(change, b"password = old") == ["(secret)"]


def test_a_refused_text_does_not_show_what_it_was() -> None:
    with pytest.raises(ValueError) as caught:
        File(path=r"D:\op.ini", content="hunter2 →", encoding="cp1252", sensitive=True)
    assert "hunter2" not in str(caught.value)


# ---------------------------------------------------------------- the difference in words


def difference(after: str, before: Any, **given: Any) -> list[str]:
    wanted = File(path=r"D:\op.ini", content=after, **given)
    host = Host(servers.database_server())
    if isinstance(before, bytes):
        host.apply(desired(File(path=r"D:\op.ini", content=before)))
    world = host.observe(desired(wanted))
    asked = wanted.optional_reads()["diff"]
    world.observation |= {read.key: host.run(read) for read in asked.values()}
    return file_kind.in_words(plan_one(Managed(wanted), world), world.answers(wanted))


def test_a_difference_in_words() -> None:
    assert difference("a\nc\n", b"a\r\nb\r\n") == ["--- on the host", "+++ to be", "@@ -1,2 +1,2 @@", " a", "-b", "+c"]


def test_a_new_file_in_words() -> None:
    assert difference("a\n", None) == ["--- on the host", "+++ to be", "@@ -0,0 +1 @@", "+a"]


def test_nothing_in_words_where_nothing_differs() -> None:
    assert difference("a\n", b"a\r\n") == []


def test_line_ends_alone_are_told_as_such() -> None:
    assert difference("a\n", b"a\n") == ["(only line ends, a byte order mark or the like differ)"]


@pytest.mark.parametrize("before", [b"\xff\xfe\x00", b"a\x00b"])
def test_bytes_are_not_shown_in_words(before: bytes) -> None:
    assert difference("a\n", before) == ["(no text in utf-8: not shown in words)"]


def test_what_is_too_long_is_not_shown_in_words() -> None:
    assert difference("a\n", b"b" * (file_kind.IN_WORDS + 1)) == ["(longer than 256 KB: not shown in words)"]


def test_contents_that_could_not_be_read_are_told_as_such() -> None:
    wanted, read = File(path=r"D:\op.ini", content="a"), file_read(r"D:\op.ini")
    change = Change(wanted, wanted, "would_change", "update", properties={"sha256": Property(None, "")})
    assert wanted.words(change, Answers({"content": read}, {read.key: Failure("in use")})) == [
        "(its old contents were not read: in use)"
    ]


def test_without_being_asked_nothing_is_said_in_words() -> None:
    wanted = File(path=r"D:\op.ini", content="a")
    change = Change(wanted, None, "would_change", "create", properties={"sha256": Property(None, "")})
    assert wanted.words(change, Answers({}, {})) == []
