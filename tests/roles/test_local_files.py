"""Installers of a project: named in an inventory, found below files/, hashed once in a run and never held in memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from roles_at_hand import ENVIRONMENT, compiled, inventory, role

from opdeploy import roles
from opdeploy.inventory import InventoryError, read
from opdeploy.resources.installers import LocalFile
from opdeploy.roles import project
from opdeploy.roles.finding import Roles

ROLE = """
from opdeploy.resources.package import Package

class Settings(RoleSettings):
    packages: Annotated[dict[str, Package], keyed("name")]

def resources(settings, host):
    yield from settings.packages.values()
"""
DATA = b"opdeploy" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
MEANT = "did you mean files/op/setup.exe?"
NO_HTTPS = "expected an address that begins with https://, without a user's name in it"
EXPECTED = "expected the name of a file below files/"


@pytest.fixture
def found(tmp_path: Path) -> Roles:
    (tmp_path / "files" / "op").mkdir(parents=True)
    (tmp_path / "files" / "op" / "setup.exe").write_bytes(DATA)
    return roles.find(own=role(tmp_path / "roles", "installed", ROLE))


def practice(tmp_path: Path, hosts: int = 1, **given: Any) -> Path:
    package = {"type": "nsis", "detect": {"key": "OP"}, "source": {"file": "op/setup.exe"}, "sha256": SHA, **given}
    settings = {"installed": {"packages": {"OP": package}}}
    return inventory(tmp_path / "practices" / "one", {f"db{number}": settings for number in range(hosts)})


def wrong(tmp_path: Path, found: Roles, **given: Any) -> list[tuple[str, str]]:
    with pytest.raises(InventoryError) as raised:
        compiled(practice(tmp_path, **given), found)
    return [(problem.path, problem.message) for problem in raised.value.problems]


def test_a_package_knows_where_its_file_is_and_what_it_is(tmp_path: Path, found: Roles) -> None:
    ((managed,),) = (desired.resources for desired in compiled(practice(tmp_path), found).values())
    path = str(tmp_path / "files" / "op" / "setup.exe")
    assert managed.resource.source.file == LocalFile(name="op/setup.exe", path=path, size=len(DATA), sha256=SHA)


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"source": {"file": "op/set.exe"}}, "source.file", f"no such file: files/op/set.exe ({MEANT})"),
        ({"source": {"file": "../hosts.yml"}}, "source.file", f"{EXPECTED}, with / between folders"),
        ({"source": {"file": {"path": "/etc/shadow"}}}, "source.file", f"{EXPECTED}, in an inventory"),
        ({"sha256": "0" * 64}, "", f"files/op/setup.exe has the SHA-256 {SHA}, the inventory says {'0' * 64}"),
        ({"source": {"url": "http://op.example/a"}}, "source.url", NO_HTTPS),
        ({"type": "rpm"}, "type", "expected 'msi', 'inno', 'nsis', 'installshield', 'burn' or 'exe', found 'rpm'"),
        ({"version": 2.5}, "version", "a version is text: write it in quotes, '2.5'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_stands(
    given: dict[str, Any], path: str, message: str, tmp_path: Path, found: Roles
) -> None:
    where = ".".join(filter(None, ("installed.packages.OP", path)))
    assert wrong(tmp_path, found, **given) == [(where, message)]


def test_it_is_hashed_once_however_many_hosts_have_it_and_again_when_it_changes(
    tmp_path: Path, found: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        hashed.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(project.hashlib, "file_digest", counted)
    compiled(practice(tmp_path, hosts=5), found)
    assert len(hashed) == 1
    (tmp_path / "files" / "op" / "setup.exe").write_bytes(DATA + b"!")
    assert "has the SHA-256" in wrong(tmp_path, found)[0][1]
    assert len(hashed) == 2


def test_its_size_takes_no_memory(tmp_path: Path, found: Roles) -> None:
    big = tmp_path / "files" / "op" / "setup.exe"
    with big.open("wb") as file:
        file.truncate(64_000_000)
    sha256 = hashlib.sha256(bytes(64_000_000)).hexdigest()
    tracemalloc.start()
    try:
        compiled(practice(tmp_path, sha256=sha256), found)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_the_digest_of_sources_changes_with_it(tmp_path: Path, found: Roles) -> None:
    before = roles.sources(read(practice(tmp_path), ENVIRONMENT), found)
    (tmp_path / "files" / "op" / "setup.exe").write_bytes(b"another")
    again = practice(tmp_path, sha256=hashlib.sha256(b"another").hexdigest())
    settings_changed = roles.sources(read(again, ENVIRONMENT), found)
    (tmp_path / "files" / "op" / "setup.exe").write_bytes(DATA)
    assert before == roles.sources(read(practice(tmp_path), ENVIRONMENT), found) != settings_changed
