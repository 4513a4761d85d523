"""Plan files that were altered at random: never applied where a plan must be approved, never accepted as another, no traceback.

What a right digest that somebody computed anew can do where nobody has to approve stands in `test_cli.py`: apply compares.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import runs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fleet import Fleet, fleet
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from opdeploy.approvals import openssh, sign
from opdeploy.cli import approving
from opdeploy.cli.compiled import Compiled, compiled
from opdeploy.cli.options import Asked
from opdeploy.lab import tampering
from opdeploy.model import UsageError
from opdeploy.rendering import printable
from opdeploy.reports.csv import as_csv
from opdeploy.reports.document import as_json
from opdeploy.reports.junit import as_junit
from opdeploy.reports.plan_file import canonical, check_sources, digest, plan_document, read_plan
from opdeploy.reports.report_html import as_html
from opdeploy.reports.text import report_text
from opdeploy.results import Item, Run
from opdeploy.store import Store

ANNA = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
SOMEBODY = 4711  # nobody's files here are this account's
ONLY = ("--limit", "ts1", "--role", "firewall")
MASKS = (0x01, 0x20, 0x80)  # a digit, upper and lower case, ASCII


EVERYTHING = "approvals: 1"


def policy(folder: Path, rule: str = EVERYTHING) -> Path:
    """A controller's configuration, by which anna must approve what falls under a rule."""
    (folder / "policy.yml").write_text(f"approvers:\n  anna: {openssh(ANNA.public_key())}\nrules:\n- {rule}\n")
    (folder / "config.yml").write_text("policy: policy.yml\n")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder / "config.yml"


def approved(text: bytes) -> bytes:
    """A plan that anna approved."""
    plan, now = read_plan(text), datetime.now(UTC)
    word = sign(ANNA, plan.digest, by="anna", note="read", at=now, expires=now + timedelta(days=1))
    return plan.model_copy(update={"approvals": [word]}).text.encode()


@contextmanager
def ruled(rule: str) -> Iterator[None]:
    """With another rule in the policy."""
    folder = Path(os.environ["OPDEPLOY_CONFIG"]).parent
    policy(folder, rule)
    yield
    policy(folder)


@dataclass(frozen=True)
class Desk:
    """Where a plan of one host and one change, which anna has approved, waits to be applied."""

    fleet: Fleet
    what: Compiled
    signed: bytes
    key: bytes

    @property
    def path(self) -> Path:
        return self.fleet.folder / "plan.json"

    def judged(self, text: bytes) -> Run:
        """All that apply asks of a file before any host is touched; the inventory is read once. Raises UsageError."""
        self.path.write_bytes(text)
        document = approving.plan_file(self.path)
        run = approving.checked_run("apply", self.what, document, self.what.hosts)
        check_sources(document, self.what.sources, self.key)
        return run


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made, pytest.MonkeyPatch.context() as patch:
        path = made.folder / "plan.json"
        assert made.run("apply", *ONLY, "--yes").code == 0
        assert list(tampering.tamper(made.boxes["ts1"].state, ["rule"]))
        assert made.run("plan", *ONLY, "--out", str(path)).code == 2
        store = Store.open(made.store)
        store.close()
        patch.setenv("OPDEPLOY_CONFIG", str(policy(tmp_path_factory.mktemp("etc"))))
        patch.setattr(os, "geteuid", lambda: SOMEBODY)
        what = compiled(Asked(made.inventory, limits=("ts1",), roles=("firewall",)))
        yield Desk(made, what, approved(path.read_bytes()), store.key())


# ---------------------------------------------------------------- every byte


def test_a_plan_that_was_approved_is_accepted(desk: Desk) -> None:
    document = json.loads(desk.signed)
    assert [one["action"] for host in document["hosts"] for one in host["resources"]] == ["update"]
    assert [approval.by for approval in desk.judged(desk.signed).approvals] == ["anna"]


@pytest.mark.parametrize("mask", MASKS, ids=hex)
def test_every_byte_of_it(mask: int, desk: Desk) -> None:
    for place, byte in enumerate(desk.signed):
        with pytest.raises(UsageError):
            desk.judged(desk.signed[:place] + bytes([byte ^ mask]) + desk.signed[place + 1 :])


# ---------------------------------------------------------------- its form


def nested(depth: int, of: type) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if of is list else {"a": value}
    return value


TEXT = st.text(st.characters(categories=("Lu", "Nd", "Cc", "Cf", "Cs")), max_size=5)
FLAT = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**300, 10**301), TEXT,
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
VALUES = st.one_of(
    FLAT, st.lists(FLAT, max_size=3), st.dictionaries(TEXT, FLAT, max_size=3),
    st.builds(nested, st.integers(1, 400), st.sampled_from([list, dict])),
)  # fmt: skip
MOSTLY = st.sampled_from([True, True, True, False])
Container = dict[str, Any] | list[Any]


def containers(value: Any) -> Iterator[Container]:
    """Every object and list of a document."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def bend(document: Any, draw: Any) -> None:
    """One thing of its structure is altered."""
    place = draw(st.sampled_from([one for one in containers(document) if one]))
    name = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
    value = place[name]
    match draw(st.sampled_from(["replace", "drop", "add", "rename", "twice", "turn", "float"])):
        case "replace":
            place[name] = draw(VALUES)
        case "drop":
            del place[name]
        case "add" | "rename" as what if isinstance(place, dict):
            place[draw(TEXT)] = draw(VALUES) if what == "add" else place.pop(name)
        case "twice" if isinstance(place, list):
            place.append(json.loads(json.dumps(value)))
        case "turn" if isinstance(place, list):
            place.reverse()
        case "float" if isinstance(value, int):
            place[name] = float(value)


def bent(text: bytes, draw: Any) -> bytes:
    """A plan with a few things altered; the digest computed anew or not, written as opdeploy writes it or not."""
    document = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        bend(document, draw)
    if draw(MOSTLY):
        document["digest"] = digest(document)
    return (canonical(document) + "\n").encode() if draw(MOSTLY) else json.dumps(document).encode()


WHOLE = plan_document(runs.FLEET, b"k" * 32, ["firewall"]).text.encode()


def redigested(**told: Any) -> bytes:
    """A plan with something else in it, and a digest that is right again."""
    document = json.loads(WHOLE) | told
    return (canonical(document | {"digest": digest(document)}) + "\n").encode()


@pytest.mark.parametrize(
    "value", [nested(400, list), nested(400, dict), {"\ud800": 1}], ids=["lists", "objects", "half a character"]
)
def test_a_value_that_opdeploy_could_not_have_written_is_no_bug(value: Any) -> None:
    (host, *others) = json.loads(WHOLE)["hosts"]
    host["resources"][0]["properties"][0]["before"] = value
    with pytest.raises(UsageError, match="not the very text"):
        read_plan(redigested(hosts=[host, *others]))


def test_a_summary_that_leaves_something_out_is_shown() -> None:
    hosts = [host | {"summary": {}} for host in json.loads(WHOLE)["hosts"]]
    assert report_text(read_plan(redigested(hosts=hosts)))


def test_a_terminal_obeys_no_word_of_a_plan_that_is_refused(desk: Desk) -> None:
    desk.path.write_bytes(redigested(roles=["\x1b[2Jfirewall"]))
    said = desk.fleet.run("apply", str(desk.path), "--yes").err
    assert "no role \\u001b[2Jfirewall" in said
    assert "\x1b" not in said


def test_a_terminal_obeys_no_word_of_a_plan_that_is_shown() -> None:
    (host, *others) = json.loads(WHOLE)["hosts"]
    host["resources"][0]["properties"][0] |= {"name": "\x1b[2J", "before": {"\x1b[1A": "x"}}
    shown = "".join(line.plain for line in report_text(read_plan(redigested(hosts=[host, *others]))))
    assert "\x1b" not in shown
    assert "\\u001b[2J" in shown


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_is_altered_of_its_form_it_is_refused_or_a_plan_to_the_letter(data: st.DataObject) -> None:
    text = bent(WHOLE, data.draw)
    try:
        document = read_plan(text)
    except UsageError:
        return
    assert document.text.encode() == text
    shown = [line.plain for line in report_text(document)]
    assert shown == [printable(line) for line in shown], "a terminal obeys none of it"
    for form in (as_html, as_csv, as_junit, as_json):
        form(document)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_is_altered_of_a_plan_that_was_approved_it_is_not_applied(desk: Desk, data: st.DataObject) -> None:
    text = bent(desk.signed, data.draw)
    assume(text != desk.signed)
    desk.path.write_bytes(text)
    before = desk.fleet.states()
    done = desk.fleet.run("apply", str(desk.path), "--yes")
    assert done.code == 64 or (done.code == 1 and "left untouched" in done.out), done.err
    for command in (("plan", "show", str(desk.path)), ("approve", str(desk.path), "--list")):
        assert desk.fleet.run(*command, where=False).code in (0, 64)
    assert desk.fleet.states() == before
    assert not (desk.fleet.store / "bugs").exists()


# ---------------------------------------------------------------- what falls under a policy


@pytest.mark.parametrize("rule", ["roles: [firewall]", "kinds: [firewall_rule]", "actions: [update]", EVERYTHING])
@pytest.mark.parametrize("name", ["roles", "kind", "verdict", "action", "resources"])
def test_a_plan_can_not_say_of_itself_that_no_rule_is_for_it(name: str, rule: str, desk: Desk) -> None:
    document = json.loads(desk.signed)
    (host,) = document["hosts"]
    (one,) = host["resources"]
    lies: dict[str, Any] = {"roles": ["portal"], "kind": "directory", "verdict": "not_applicable", "action": "none"}
    host["resources"] = [] if name == "resources" else [one | {name: lies[name]}]
    document |= {"approvals": [], "digest": digest(document)}
    desk.path.write_text(canonical(document) + "\n")
    before = desk.fleet.states()
    with ruled(rule):
        done = desk.fleet.run("apply", str(desk.path), "--yes")
    assert done.code == 64 or (done.code == 1 and "left untouched" in done.out), done.err
    assert desk.fleet.states() == before


@pytest.mark.parametrize(
    ("rule", "told"), [("verdicts: [unknown]", "verdicts unknown"), ("roles: [op_services]", "roles op_services")]
)
def test_what_was_left_out_of_a_plan_is_found_again(rule: str, told: str, desk: Desk) -> None:
    """Nobody approved what is unknown there, which the plan does not show."""
    change = runs.host("db1", Item(runs.service("Spooler", start_mode=("manual", "disabled"))))
    document = plan_document(runs.run(change), desk.key)
    with ruled(rule):
        held = approving.review(document, runs.run(plan=document.digest), desk.key)
    assert held
    (said,) = held(runs.host("db1", *change.items, Item(runs.UNREAD)))
    assert said.startswith(f"it needs 1 approval by rule 1 of the policy ({told}) for service ")
