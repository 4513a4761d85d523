"""No secret of the inventory stands in anything that is said, written or sent, but on the request's line that is its own.

Every command runs, in this process and against the lab's three servers; all that it says, logs and leaves behind is held
against every form that a value takes on its way: plain, base64, UTF-16, escaped, digested.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import logging
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from approvers import KEYS, key_file
from fleet import PASSWORDS, Fleet, fleet
from lab_practice import HOSTS
from postbox import TOKEN, named, postbox
from practice import Practice, practice_in

from opdeploy.cli.demo import INVENTORY
from opdeploy.lab import tampering
from opdeploy.lab.windows import files, servers
from opdeploy.resources.local_user import LocalUser

FORMATS = ("text", "json", "html", "csv", "junit")
ODD = "Pä\"s's<w>&ö\\r+/%d{0}-"  # every character that some form has to escape, in each secret
IN_QUOTES = ODD.replace('"', "")  # what an installer's argument can hold
SECRETS = {
    name: f"{IN_QUOTES if name.startswith('sysdba') else ODD}{hashlib.sha256(name.encode()).hexdigest()[:12]}Zz9"
    for name in PASSWORDS
}
LINKS = {f"agent-link-{host}": servers.agent_link(host) for host in HOSTS}


# ---------------------------------------------------------------- the forms of a value


def in_base64(data: bytes) -> Iterator[bytes]:
    """What of its base64 is the same whatever stands before and after it, at each of the three offsets."""
    for before in range(3):
        after = -(before + len(data)) % 3
        text = base64.b64encode(b"\0" * before + data + b"\0" * after)
        yield text[(before * 4 + 2) // 3 : len(text) - (after and after + 1)]


def forms(value: str) -> set[bytes]:
    """Every way in which somebody could read it out of a file or an output."""
    texts = {
        value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value),
        html.escape(value, quote=False), urllib.parse.quote(value), urllib.parse.quote_plus(value),
        value.replace("'", "''"), repr(value)[1:-1], hashlib.sha256(value.encode()).hexdigest(),
    }  # fmt: skip
    raw = {text.encode(code) for text in texts for code in ("utf-8", "utf-16-le", "cp1252")}
    return raw | {piece for data in raw for piece in in_base64(data)}


FORMS = {name: forms(value) for name, value in (SECRETS | LINKS | {"notify": TOKEN}).items()}


def found(data: bytes) -> set[str]:
    """The names of the secrets that stand in it, in whatever form."""
    return {name for name, its_forms in FORMS.items() if any(form in data for form in its_forms)}


@pytest.mark.parametrize("before", [b"", b"a", b"ab"])
@pytest.mark.parametrize("after", [b"", b"y", b"yz"])
def test_the_search_finds_a_secret_inside_base64(before: bytes, after: bytes) -> None:
    for name, value in SECRETS.items():
        for code in ("utf-8", "utf-16-le"):
            assert found(base64.b64encode(before + value.encode(code) + after)) == {name}
    assert found(base64.b64encode(before + b"nothing of the kind" + after)) == set()


# ---------------------------------------------------------------- the commands


@dataclass
class Said:
    """All that a fleet's commands said and logged."""

    fleet: Fleet
    texts: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)  # db1's files once they were applied

    def run(self, *arguments: str, where: bool = True) -> None:
        done = self.fleet.run(*arguments, where=where)
        name = " ".join(arguments)
        self.texts[name] = self.texts.get(name, "") + done.out + done.err
        self.codes[name] = done.code


class Kept(logging.Handler):
    """What any library logs, at any level."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record) + repr(record.args))


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    handler, loggers = Kept(), [logging.getLogger(), logging.getLogger("pyinfra")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    with fleet(tmp_path_factory.mktemp("secrets"), SECRETS) as made, postbox() as box, pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPDEPLOY_CONFIG", str(named(tmp_path_factory.mktemp("controller"), box.url, f"slack://{TOKEN}")))
        story = Said(made)
        _play(story)
        story.texts["notifications"] = json.dumps(box.arrived, ensure_ascii=False)
        story.texts["logs"] = "\n".join(handler.lines)
        yield story
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def _play(story: Said) -> None:
    folder = story.fleet.folder
    plan, snapshots = str(folder / "plan.json"), str(folder / "snapshots")
    ts1 = story.fleet.boxes["ts1"].state
    for form in ("text", "json"):
        story.run("inventory", "list", "--format", form)
        story.run("inventory", "show", "db1", "--format", form)
    for form in FORMATS:
        story.run("plan", "-v", "--commands", "--diff", "--verify-passwords", "--format", form)
    story.run("inventory", "validate")
    story.run("plan", "--out", plan)
    ts1.password_policy["length"] = 64  # its support account is refused: one host fails
    story.run("apply", plan, "--yes", "--format", "json")
    ts1.password_policy["length"] = 0
    story.run("apply", "--yes")
    db1 = story.fleet.boxes["db1"].state
    story.contents = {
        name: files.data(files.find(db1, rf"D:\OP\config\{name}") or {}) for name in ("interface.ini", "server.ini")
    }
    for made in story.fleet.boxes.values():
        list(tampering.tamper(made.state))
        files.put_file(made.state, r"D:\OP\config\interface.ini", "S-1-5-18", b"password = old")
    story.run("drift", "check", "-v")
    for form in FORMATS:
        story.run("drift", "check", "--format", form)
        story.run("access", "report", "db1", "--format", form)
        story.run("plan", "show", plan, "--format", form, where=False)
    story.run("plan", "--diff", "--commands", "--verify-passwords")
    story.run("snapshot", "take", "db1", "backup1", "ts1", "--out", snapshots)
    story.run("snapshot", "show", f"{snapshots}/db1.json", where=False)
    story.run("snapshot", "script", "db1")
    story.run("plan", "--from", snapshots, "-v", "--commands", "--diff", "--format", "json")
    story.run("handover", "--out", str(folder / "handover.html"))
    story.run("handover", "--format", "json")
    story.run("apply", plan, "--yes")  # stale by now
    _signed(story, plan)
    _looked_back(story)
    _go_wrong(story)


def _signed(story: Said, plan: str) -> None:
    key = key_file(story.fleet.folder, "anna.key", KEYS["anna"])
    story.run("approve", plan, "--key", str(key), "--as", "anna", "--note", "read it", where=False)
    story.run("approve", plan, "--list", "--format", "json", where=False)


def _looked_back(story: Said) -> None:
    """What the run store says of all that."""
    store = ("--store", str(story.fleet.store))
    story.run("history", "list", "--format", "json", *store, where=False)
    runs = [one["run_id"] for one in json.loads(story.texts[f"history list --format json --store {story.fleet.store}"])["runs"]]
    for form in FORMATS:
        for run in runs:
            story.run("history", "show", run, "--format", form, *store, where=False)
    story.run("store", "check", *store, where=False)
    story.run("store", "export", *store, where=False)


def _go_wrong(story: Said) -> None:
    """A password that the hosts do not take, an inventory that is wrong, a bug with a secret in its words."""
    admin = story.fleet.inventory / ".lab" / "installer-password"
    admin.write_text(SECRETS["installer-password"] + "x", encoding="utf-8")
    story.run("plan", "-v")
    admin.write_text(SECRETS["installer-password"], encoding="utf-8")
    shared = story.fleet.inventory / ".lab" / "support-password-ts1"
    shared.write_text(SECRETS["support-password-db1"], encoding="utf-8")
    story.run("plan", "--limit", "ts1")
    shared.write_text(SECRETS["support-password-ts1"], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:

        def broken(resource: LocalUser, *_: object) -> None:
            raise ValueError(f"no such thing: {SECRETS['support-password-db1']} of {resource!r}")

        patched.setattr(LocalUser, "actual", broken)
        story.run("drift", "check", "--limit", "db1")
        patched.setattr("opdeploy.cli.inventory._summary", broken)
        story.run("inventory", "list", "--limit", "db1")
    _with_a_role_that_tells(story)


LEAKY = """
from opdeploy.model import Secret
from opdeploy.roles import RoleSettings

class Settings(RoleSettings):
    password: Secret

def resources(settings, host):
    raise ValueError("bad password: " + settings.password.reveal())
"""


def _with_a_role_that_tells(story: Said) -> None:
    """A stranger's role that quotes a secret in its error."""
    role = story.fleet.folder / "roles" / "leaky" / "role.py"
    role.parent.mkdir(parents=True)
    role.write_text(LEAKY)
    variables = story.fleet.inventory / "host_vars" / "db1.yml"
    variables.write_text(variables.read_text() + "leaky: { password: { from_file: .lab/interface-password } }\n")
    story.run("inventory", "validate", "--roles-path", str(role.parents[1]))


def test_the_commands_did_what_they_were_meant_to(said: Said) -> None:
    """Else they would have had nothing to give away."""
    assert "(secret)" in said.texts["plan -v --commands --diff --verify-passwords --format text"]
    codes = {name.split(str(said.fleet.folder))[0].strip(): code for name, code in said.codes.items() if "plan.json" in name}
    assert codes == {"plan --out": 2, "apply": 1, "plan show": 0, "approve": 0}
    assert {name.split()[0]: code for name, code in said.codes.items() if name.startswith(("history", "store", "access"))} == {
        "history": 0, "store": 0, "access": 0,
    }  # fmt: skip
    assert said.codes["apply --yes"] == 0
    assert said.codes["plan -v"] == 3
    assert said.codes["plan --limit ts1"] == 64
    assert "is a bug" in said.texts["inventory list --limit db1"]
    assert "firewall_rule/OP-Temp-Allow-All" in said.texts["notifications"]
    assert "db1: failed: a bug: ValueError\\n" in said.texts["notifications"]
    assert "address 2 (file:address-1): " in said.texts["drift check -v"]
    assert list((said.fleet.store / "bugs").iterdir())
    assert "the role is broken: ValueError: bad password: (secret)" in "".join(said.texts.values())
    assert "outcome" in said.texts[next(name for name in said.texts if name.startswith("apply") and "json" in name[-6:])]


def test_nothing_that_is_said_or_logged_holds_a_secret(said: Said) -> None:
    assert {name: names for name, text in said.texts.items() if (names := found(text.encode(errors="surrogatepass")))} == {}


def test_nothing_that_is_written_holds_a_secret(said: Said) -> None:
    own = said.fleet.inventory / ".lab"
    paths = [path for path in said.fleet.folder.rglob("*") if path.is_file() and own not in path.parents]
    names = {path.name for path in paths}
    assert {"runs.sqlite3", "key", "plan.json", "db1.json", "handover.html"} <= names
    assert {path: where for path in paths if (where := found(path.read_bytes()))} == {}


def test_a_file_with_a_secret_in_it_has_no_digest_anywhere(said: Said) -> None:
    """A short secret could be guessed from it."""
    secret, other = (said.contents[name] for name in ("interface.ini", "server.ini"))
    written = [path.read_bytes() for path in said.fleet.folder.rglob("*") if path.is_file()]
    written += [text.encode(errors="surrogatepass") for text in said.texts.values()]
    assert SECRETS["interface-password"].encode() in secret
    assert [data for data in written if hashlib.sha256(other).hexdigest().encode() in data]
    assert not [data for data in written if hashlib.sha256(secret).hexdigest().encode() in data]


def test_in_requests_each_stands_on_a_line_of_its_own(said: Said) -> None:
    heard = said.fleet.heard()
    secrets = [line for line in heard if line.startswith("*")]
    others = [line for line in heard if not line.startswith("*")]
    assert found("\n".join(others).encode()) == set()
    sent = {name for line in secrets for name in found(base64.b64decode(line.split()[1]))}
    nested = {name for line in secrets for name in found(line.split()[1].encode())}
    assert sent | nested == (set(PASSWORDS) | set(LINKS)) - {"installer-password"}


def test_the_hosts_own_log_lines_hold_none(said: Said) -> None:
    entries = [repr(entry) for made in said.fleet.boxes.values() for entry in made.server.log]
    assert len(entries) > 100
    assert found("\n".join(entries).encode()) == set()


@pytest.mark.slow
def test_the_lab_as_a_process_writes_none_into_its_files(tmp_path: Path) -> None:
    practice: Practice = practice_in(tmp_path)
    up, pipe = practice.up()
    with pipe:
        done = [
            up,
            practice.run("apply", "-i", INVENTORY, "--limit", "db1", "--yes"),
            practice.run("lab", "status", "-i", INVENTORY),
        ]
        held = {path.read_text().strip() for path in practice.made.glob("*-password*")}
        paths = [path for path in tmp_path.rglob("*") if path.is_file() and "-password" not in path.name]
        assert practice.made / "log" in paths
        searched = {form for value in held for form in forms(value)}
        written = [path.read_bytes() for path in paths] + [(one.stdout + one.stderr).encode() for one in done]
        assert len(held) == len(PASSWORDS)
        assert not [data for data in written if any(form in data for form in searched)]
