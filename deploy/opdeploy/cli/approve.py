"""``opdeploy approve``: an auditor's signed word on a plan file. No host is spoken to, and the plan itself stays as it is.

The private key is one that ``ssh-keygen -t ed25519`` wrote, or PKCS#8 in PEM; like ssh, this refuses one that others may read.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from opdeploy.approvals import Policy, SignedApproval, counted, fingerprint, latest, openssh, required, sign, state
from opdeploy.cli import approving, options, out_file, terminal
from opdeploy.model import Secret, UsageError
from opdeploy.rendering import printable
from opdeploy.reports.plan_file import PlanDocument
from opdeploy.reports.text import WORDS

SCHEMA = "opdeploy.approvals/1"
MAKE_ONE = "make one: ssh-keygen -t ed25519 -f opdeploy-approval"
States = list[tuple[SignedApproval, str]]
LONGEST = timedelta(days=92)
DAYS = re.compile(r"([1-9][0-9]{0,8})d")
_PATH = click.Path(path_type=Path)


@click.command("approve")
@click.argument("plan", metavar="PLAN.json", type=_PATH)
@click.option("--key", type=_PATH, metavar="KEY", help="The private key to sign with, as ssh-keygen -t ed25519 writes it.")
@click.option("--note", metavar="TEXT", help="What was looked at, or why it is rejected: for who reads it later.")
@click.option("--as", "name", metavar="NAME", help="Who signs. Default: whose key it is by this machine's policy.")
@click.option("--expires", metavar="7d|DATE", help="Until when it counts: days from now, or a date's end (UTC). Default: 7d.")
@click.option("--reject", is_flag=True, help="Sign that this plan must not be applied. It does not expire.")
@click.option("--passphrase-file", type=_PATH, metavar="FILE", help="The key's passphrase. Default: asked for on the terminal.")
@click.option("--list", "only_list", is_flag=True, help="Only say who approved, and what that is worth now.")
@options.output
def command(
    plan: Path,
    key: Path | None,
    note: str | None,
    name: str | None,
    expires: str | None,
    reject: bool,
    passphrase_file: Path | None,
    only_list: bool,
    form: str,
) -> None:
    """Sign that a plan may be applied, or that it must not. No host is spoken to.

    Read the plan first: opdeploy plan show PLAN.json. The signature is over the plan's digest and all that the approval
    says; whoever changes a byte of either makes it worthless. docs/approvals.md has the whole way.

    \b
    Examples:
      opdeploy approve monday.json --key ~/.ssh/opdeploy-approval --note "read it whole; ticket 4711"
      opdeploy approve monday.json --key KEY --as anna --note "not on a Monday" --reject
      opdeploy approve monday.json --list
    """
    if only_list and (key or note or name or expires or reject or passphrase_file):
        raise UsageError("--list signs nothing", "leave --list out to sign, or all else to see who approved")
    document, policy, now = approving.plan_file(plan), approving.policy(binding=False), datetime.now(UTC)
    if form == "text":
        terminal.plain_lines(_head(document))
    if not only_list:
        if key is None or note is None:
            raise UsageError("an approval wants --key and --note", "or say --list to see who approved")
        _check(note, reject, expires)
        private = _private(key, passphrase_file)
        until = None if reject else _until(expires or "7d", now)
        by = _name(name, policy, openssh(private.public_key()))
        word = sign(private, document.digest, by=by, note=note.strip(), at=now, expires=until)
        document = _with(word, plan, document.digest)
        out_file.write(plan.resolve(), document.text, "the approval", "the plan file is as it was")  # not beside a link to it
    states = _states(document, policy, now)
    if form == "text":
        terminal.plain_lines(_words(document, states, policy))
    else:
        terminal.document(_document(document, states))


# ---------------------------------------------------------------- what is signed


def _head(document: PlanDocument) -> Iterator[str]:
    """The plan in a line a host; `plan show` shows it whole."""
    yield f"{document.digest}  made {document.created_at} by {document.by}"
    for host in document.hosts:
        counts = " · ".join(f"{count} {WORDS[verdict]}" for verdict, count in host.summary.items() if count)
        yield f"  {host.name}: {host.error or counts or 'nothing is asked of it'}"


def _with(word: SignedApproval, path: Path, digest: str) -> PlanDocument:
    """The plan file with one word more. It is read again: somebody else may have signed while a passphrase was typed."""
    document = approving.plan_file(path)
    if document.digest != digest:
        raise UsageError(f"{path} is another plan than a moment ago", "read it, and approve it again")
    if later := [one.at for one in document.approvals if one.key == word.key and one.at > word.at]:
        said = f"{word.by}'s last word on it is of {later[0]}, and here it is {word.at}: it would go on counting"
        raise UsageError(said, "set the clock of the machine that is wrong, and have the plan made again if it was the other")
    return document.model_copy(update={"approvals": [*document.approvals, word]})


def _check(note: str, reject: bool, expires: str | None) -> None:
    if not note.strip() or not note.isprintable():
        raise UsageError("--note: expected a line of text", "say what was looked at, or why it is rejected")
    if reject and expires:
        raise UsageError("a rejection does not expire", "leave --expires out")


def _until(text: str, now: datetime) -> datetime:
    end = _end(text, now)
    if end <= now:
        raise UsageError(f"--expires {text} is over already", "name a day that is to come")
    if end > now + LONGEST:
        raise UsageError(f"--expires {text} is more than {LONGEST.days} days ahead", "a plan is applied in days: make it anew")
    return end


def _end(text: str, now: datetime) -> datetime:
    if days := DAYS.fullmatch(text):
        return now + timedelta(days=min(int(days.group(1)), 9999))  # as far as any calendar goes
    try:
        return datetime.combine(datetime.strptime(text, "%Y-%m-%d"), time(23, 59, 59), UTC)
    except ValueError as error:
        raise UsageError(f"--expires {printable(text)}: expected days (7d) or a date (2026-12-31)") from error


def _name(given: str | None, policy: Policy | None, key: str) -> str:
    """The policy's name for the key; without a policy on this machine, the one given."""
    known = policy.name_of(key) if policy else given
    if policy and known is None:
        raise UsageError(
            f"this machine's approval policy does not know the key {fingerprint(key)}", "its owner adds the .pub file"
        )
    if known is None:
        raise UsageError(
            "whose approval is it? No policy is here to say whose key this is", "say --as NAME, as the policy has it"
        )
    if given not in (None, known):
        raise UsageError(f"--as {printable(given or '')}: by this machine's policy the key is {known}'s", "leave --as out")
    if not known.strip() or not known.isprintable():
        raise UsageError("--as: expected a name")
    return known


# ---------------------------------------------------------------- the key


def _private(path: Path, passphrase_file: Path | None) -> Ed25519PrivateKey:
    if path.suffix == ".pub":
        raise UsageError(f"{path} is the public half of a key", f"sign with the other: {path.with_suffix('')}")
    data = _kept_close(path)
    try:
        key = _parsed(path, data, None)
    except TypeError:  # cryptography's word for a key with a passphrase
        passphrase = _passphrase(path, passphrase_file)
        key = _parsed(path, data, passphrase.reveal().encode())
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is a key of another kind: approvals are signed with Ed25519", MAKE_ONE)
    return key


def _parsed(path: Path, data: bytes, passphrase: bytes | None) -> object:
    load = load_ssh_private_key if data.startswith(b"-----BEGIN OPENSSH") else load_pem_private_key
    try:
        return load(data, passphrase)
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase is not None:
            raise UsageError(f"{path} does not open with this passphrase") from error
        raise UsageError(f"{path} is no private key in OpenSSH's or PKCS#8's form", MAKE_ONE) from error


def _passphrase(path: Path, file: Path | None) -> Secret:
    if file:
        return Secret(_kept_close(file).decode(errors="replace").removesuffix("\n"), f"file:{file}")
    if not terminal.interactive():
        raise UsageError(f"{path} has a passphrase, and here is no terminal to ask for it", "say --passphrase-file FILE")
    return Secret(getpass.getpass(f"passphrase of {path}: "), "terminal")


def _kept_close(path: Path) -> bytes:
    """A file that only its owner may read."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", "name the file in it")
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{path} can be read by others than its owner", f"chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


# ---------------------------------------------------------------- who approved


def _states(document: PlanDocument, policy: Policy | None, now: datetime) -> States:
    """Every word with what it is worth; of one key's several, only the latest is worth anything."""
    last = latest(document.approvals)
    found = [(word, state(word, policy, document.digest, now)) for word in document.approvals]
    return [(word, said if word in last or said == "wrong signature" else "superseded") for word, said in found]


def _document(document: PlanDocument, states: States) -> dict[str, Any]:
    words = [word.model_dump(exclude={"signature"}) | {"key": fingerprint(word.key), "state": state} for word, state in states]
    return {"schema": SCHEMA, "plan": document.digest, "approvals": words}


def _words(document: PlanDocument, states: States, policy: Policy | None) -> Iterator[str]:
    for word, said in states:
        until = f", until {word.expires}" if word.expires else ""
        yield f"  {word.by} {said}: {word.note} ({word.at}{until}, {fingerprint(word.key)})"
    if against := [f"{word.by} ({said})" for word, said in states if said not in ("approves", "superseded")]:
        yield f"  an apply of it is refused, because of {', '.join(against)}"
    counting = [word for word, said in states if said == "approves"]
    for need in required(policy, list(approving.planned(document)), document.asked if policy else {}):
        if missing := need.missing(counting):
            others = ", ".join(need.others(counting)) or "somebody whom the policy does not name"
            yield f"  still needed: {counted(missing)} of {others}, by {need.why}"
    for host, count in document.asked.items() if not policy else ():
        yield f"  the inventory asks for {counted(count)} for a change of {host}: by the policy of who applies"
