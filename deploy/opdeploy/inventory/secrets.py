"""Secrets: what stands in an inventory is where a secret comes from, never the secret.

``{from_env: NAME}`` is an environment variable, ``{from_file: PATH}`` a file (relative to the inventory's directory), and
``{from_credential: NAME}`` a file of the folder that a systemd unit is given its credentials in (systemd.exec(5),
LoadCredential=); one newline at a file's end is not part of the secret. A mapping with one of these keys is a secret and
nothing else. What comes out is a `opdeploy.model.Secret`, which prints as ``(secret)``; no error shows any of it, and no
digest is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from opdeploy.inventory.problems import Position, Problem, joined, printable
from opdeploy.inventory.yaml_file import Node, list_node, mapping_node
from opdeploy.model import OneHost, Secret

FORMS = "{from_env: NAME} or {from_file: PATH}"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
_KEYS = {"from_env", "from_file", "from_credential"}


@dataclass
class Resolver:
    """Puts Secrets in the place of their mappings; each is fetched once, however many hosts share it."""

    directory: Path
    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    beginning: str = "the inventory's directory"
    _done: dict[int, tuple[Node, Node]] = field(default_factory=dict)

    def resolved(self, node: Node, path: str) -> Node:
        """The same tree with secrets resolved; where one cannot be, its value is None and a problem is noted."""
        if not node.children:
            return node
        if id(node.children) not in self._done:
            # The node is kept, so that its id stays its own.
            self._done[id(node.children)] = (node, self._made(node, path))
        return replace(self._done[id(node.children)][1], key_at=node.key_at)

    def _made(self, node: Node, path: str) -> Node:
        if _KEYS & node.mapping.keys():
            return replace(node, value=self._secret(node, path))
        if node.mapping:
            children = {key: self.resolved(child, joined(path, key)) for key, child in node.mapping.items()}
            return replace(mapping_node(children, node.at), key_at=node.key_at)
        items = tuple(self.resolved(child, joined(path, index)) for index, child in enumerate(node.items))
        return replace(list_node(items, node.at), key_at=node.key_at)

    def _secret(self, node: Node, path: str) -> Secret | None:
        value = next(iter(node.value.values()))
        if len(node.value) > 1 or not isinstance(value, str) or not value:
            return self._missing(node, path, "no secret", f"write exactly {FORMS}")
        if "from_env" in node.value:
            return self._from_env(node, path, value)
        if "from_credential" in node.value:
            return self._from_credential(node, path, value)
        return self._from_file(node, path, value)

    def _from_env(self, node: Node, path: str, name: str) -> Secret | None:
        value = self.environ.get(name)
        if not value:
            message = f"the environment variable {printable(name)} {'is not set' if value is None else 'is empty'}"
            return self._missing(node, path, message, "set it, or correct its name")
        return Secret(value, f"env:{name}")

    def _from_file(self, node: Node, path: str, name: str) -> Secret | None:
        hint = f"a relative path begins at {self.beginning}"
        return self._read(node, path, self.directory / name, f"file:{name}", hint)

    def _from_credential(self, node: Node, path: str, name: str) -> Secret | None:
        if "/" in name:
            return self._missing(node, path, f"{printable(name)} is no credential's name", "a path is given by from_file")
        folder = self.environ.get(CREDENTIALS)
        if not folder:
            message = f"the credential {printable(name)} is not there: ${CREDENTIALS} is not set"
            return self._missing(node, path, message, "a systemd unit sets it; by hand, set it to a folder with such a file")
        return self._read(node, path, Path(folder) / name, f"credential:{name}", f"it is looked for in {printable(folder)}")

    def _read(self, node: Node, path: str, file: Path, source: str, hint: str) -> Secret | None:
        kind, _, name = source.partition(":")
        shown = f"the {kind} {printable(name)}"
        try:
            text = file.read_bytes().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            return self._missing(node, path, f"{shown} is not UTF-8 text")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no such path"
            return self._missing(node, path, f"{shown} cannot be read: {reason}", hint)
        if not text:
            return self._missing(node, path, f"{shown} is empty")
        return Secret(text, source)

    def _missing(self, node: Node, path: str, message: str, hint: str = "") -> Secret | None:
        self.problems.append(Problem(node.key_at, path, message, hint))
        return None


@dataclass(frozen=True)
class SecretUse:
    """A secret that a host is given: the path of its key, and where that stands."""

    host: str
    path: str
    at: Position
    secret: Secret


def secret_uses(host: str, node: Node, path: str) -> Iterator[SecretUse]:
    """All secrets below a node; ``use.secret is`` the object that a validated setting holds."""
    if isinstance(node.value, Secret):
        yield SecretUse(host, path, node.key_at, node.value)
    elif node.mapping:
        for key, child in node.mapping.items():
            yield from secret_uses(host, child, joined(path, key))
    else:
        for index, child in enumerate(node.items):
            yield from secret_uses(host, child, joined(path, index))


def shared_secrets(uses: Iterable[SecretUse], of: OneHost) -> list[Problem]:
    """A problem for each secret that more than one host is given, naming the hosts and every place."""
    by_secret: dict[Secret, list[SecretUse]] = {}
    for use in uses:
        by_secret.setdefault(use.secret, []).append(use)
    return [_shared(same, of) for same in by_secret.values() if len({use.host for use in same}) > 1]


def _shared(uses: list[SecretUse], of: OneHost) -> Problem:
    hosts = list(dict.fromkeys(use.host for use in uses))
    last = max(uses, key=lambda use: use.at)
    others = sorted({use.at for use in uses} - {last.at})
    also = f" (also {', '.join(map(str, others))})" if others else ""
    message = f"the same {of.what} for {', '.join(hosts[:-1])} and {hosts[-1]}{also}"
    return Problem(last.at, last.path, message, of.hint)
