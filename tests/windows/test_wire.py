"""Any text, number and byte arrives as it was sent, secrets on lines of their own; any reply line is told from a log line."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy import calls
from opdeploy.calls import Call, Failure
from opdeploy.model import Secret, sid_of
from opdeploy.windows import wire
from opdeploy.windows.wire import Done, Lines, Log, NotRead, Refusal, Reply

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\u2018\u201e\"`$\u2028\\\x00\n\r"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def untagged(value: Any) -> Any:
    """What the agent makes of a value, by the rules of its first lines."""
    if isinstance(value, str):
        return value[1:] if value[0] == "=" else base64.b64decode(value[1:])
    if isinstance(value, dict):
        return {name: untagged(item) for name, item in value.items()}
    return [untagged(item) for item in value] if isinstance(value, list) else value


def reply(**said: Any) -> bytes:
    return b"opdeploy " + json.dumps(said, ensure_ascii=False).encode() + b"\n"


@settings(max_examples=100)
@given(st.dictionaries(TEXT, PLAIN, max_size=3))
def test_every_value_arrives_as_it_was_sent(args: dict[str, Any]) -> None:
    text = wire.request(7, [Call("file.stat", args)]).text
    assert text.isascii()
    assert text.count("\n") == 1
    said = json.loads(text)
    assert (said["id"], said["writes"]) == (7, 0)
    assert untagged(said["calls"][0]["args"]) == args


@settings(max_examples=100)
@given(TEXT, st.lists(st.integers(1, 400), max_size=5))
def test_every_text_returns_as_it_was_said_however_it_is_cut(text: str, cuts: list[int]) -> None:
    data = reply(id=1, call=0, value={"name": [text]}) + reply(id=1, done=1)
    lines, found, start = Lines(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        found += lines.feed(data[start:cut])
        start = max(start, cut)
    assert found == [Reply(1, 0, {"name": [text]}), Done(1, 1)]


def test_a_secret_is_on_a_line_of_its_own_and_nowhere_else() -> None:
    password = Secret("p:ss 'wörd'", "env:OP")
    new = calls.cmdlet_write("New-LocalUser", Name="op", Password=password)
    sent = wire.request(1, [new, calls.logon_probe("op", password)], writes=1)
    first, second, line = sent.text.splitlines()
    encoded = base64.b64encode("p:ss 'wörd'".encode()).decode()
    assert [first, second] == [f"*1 {encoded}", f"*2 {encoded}"]
    assert encoded not in line
    said = json.loads(line)
    assert said["writes"] == 1
    assert said["calls"][0]["args"]["parameters"]["Password"] == "*1"
    assert said["calls"][1]["args"]["password"] == "!2"
    assert encoded not in repr(sent)


def test_a_reference_is_never_sent() -> None:
    with pytest.raises(wire.Unresolved, match="not known yet"):
        wire.request(1, [calls.cmdlet_write("Add-LocalGroupMember", SID="S-1-5-32-544", Member=[sid_of(".\\op")])])


def test_a_reference_in_a_template_of_rights_is_never_sent() -> None:
    template = f"[Privilege Rights]\r\nSeBatchLogonRight = *{sid_of('.op')}\r\n".encode("utf-16")
    with pytest.raises(wire.Unresolved, match="not known yet"):
        wire.request(1, [calls.rights_write(template, expect={})])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_what_reads_like_a_reference_in_somebodys_bytes_is_sent(encoding: str) -> None:
    data = "the <SID of somebody> stands here".encode(encoding)
    piece, value = calls.file_append("C:\\x", 0, data), calls.registry_write("SOFTWARE\\OP", "B", "Binary", data)
    said = json.loads(wire.request(1, [piece, value], writes=2).text)
    sent = f"#{base64.b64encode(data).decode()}"
    assert (said["calls"][0]["args"]["bytes"], said["calls"][1]["args"]["data"]) == (sent, sent)


def test_a_value_that_is_not_plain_is_never_sent() -> None:
    with pytest.raises(TypeError, match="object"):
        wire.request(1, [Call("file.stat", {"path": object()})])


def test_an_error_is_a_failure() -> None:
    error = {"message": "kaputt", "type": "T", "hresult": -5, "id": "UserNotFound,X", "category": "ObjectNotFound"}
    assert Lines().feed(reply(id=1, call=2, error=error)) == [
        Reply(1, 2, Failure("kaputt", "T", -5, "UserNotFound,X", "ObjectNotFound"))
    ]


def test_a_line_the_agent_could_not_read_is_told() -> None:
    assert Lines().feed(reply(id=None, error={"message": "no JSON"}, done=0)) == [NotRead(Failure("no JSON"))]


def test_the_loaders_refusal_is_told() -> None:
    said = b"\xef\xbb\xbfopdeploy {'language':'ConstrainedLanguage'}\r\n"
    assert Lines().feed(said) == [Refusal("ConstrainedLanguage")]


@pytest.mark.parametrize(
    "line",
    ["WARNING: disk", "opdeploy", 'opdeploy {"id":', 'opdeploy {"id":1}', "opdeploy {}", "opdeploy [1]", "x opdeploy {}"],
)
def test_anything_else_is_a_log_line(line: str) -> None:
    assert Lines().feed(f"{line}\r\n\n".encode()) == [Log(line)]


def test_what_came_last_without_a_line_feed_is_not_lost() -> None:
    lines = Lines()
    assert lines.feed(b"half") == []
    assert lines.end() == [Log("half")]
    assert lines.end() == []


def test_a_failure_does_not_repeat_a_secret() -> None:
    failure = Failure("Cannot convert 'geheim' to Int32", id="geheim,X")
    assert wire.without_secrets(failure, [Secret("geheim"), Secret("")]) == Failure(
        "Cannot convert '(secret)' to Int32", id="(secret),X"
    )
    assert wire.without_secrets({"value": "geheim"}, [Secret("geheim")]) == {"value": "geheim"}
