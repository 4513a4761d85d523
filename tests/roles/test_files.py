"""Files from templates and from files of the project, which stand beside the folder of the inventory."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from roles_at_hand import ENVIRONMENT, compiled, inventory, refused, shipped

from opdeploy import roles
from opdeploy.inventory import read


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> None:
    (tmp_path / "templates" / "op").mkdir(parents=True)
    (tmp_path / "templates" / "op" / "server.ini.j2").write_text("port = {{ port }}\n")
    (tmp_path / "templates" / "op" / "broken.j2").write_text("{% if %}\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "logo.bin").write_bytes(b"\x00\r\n\xff")


def told_digest(data: bytes) -> str:
    return f"    sha256 {sha256(data).hexdigest()}\n"


def test_a_template_is_filled_in_and_a_source_taken_as_it_is(tmp_path: Path) -> None:
    given = r"""
        files:
          files:
            'D:\OP\server.ini': { template: op/server.ini.j2, variables: { port: 3050 } }
            'D:\OP\unix.ini': { template: op/server.ini.j2, variables: { port: 1 }, line_ends: lf, encoding: utf-8-bom }
            'D:\OP\logo.bin': { source: logo.bin }
            'D:\OP\old.ini': { absent: true }
    """
    assert shipped(tmp_path, given) == (
        "file D:\\OP\\server.ini  [files]\n" + told_digest(b"port = 3050\r\n") + "file D:\\OP\\unix.ini  [files]\n"
        "    encoding utf-8-bom\n"
        "    line_ends lf\n"
        + told_digest(b"\xef\xbb\xbfport = 1\n")
        + "file D:\\OP\\logo.bin  [files]\n"
        + told_digest(b"\x00\r\n\xff")
        + "file D:\\OP\\old.ini  [files]\n"
        "    absent yes\n"
    )


def test_a_secret_among_the_variables_hides_the_file(tmp_path: Path) -> None:
    given = r"files: {files: {'D:\OP\a.ini': {template: op/server.ini.j2, variables: {port: {from_env: OP_TWO}}}}}"
    assert shipped(tmp_path, given) == "file D:\\OP\\a.ini  [files]\n    sensitive yes\n    sha256 (secret)\n"


def test_what_a_file_can_not_be(tmp_path: Path) -> None:
    given = r"""
        files:
          files:
            'D:\a': { template: op/server.ini.j2 }
            'D:\b': { template: op/broken.j2 }
            'D:\c': { template: op/sever.ini.j2 }
            'D:\d': { source: ../files/logo.bin }
            'D:\e': { source: logo.bin, template: op/server.ini.j2 }
            'D:\f': { source: logo.bin, encoding: utf-8 }
            'D:\g': { template: op/server.ini.j2, variables: { port: ☎ }, encoding: cp1252 }
    """
    one = "expected one of template (below templates/), source (below files/) and absent: true"
    assert refused(tmp_path, given).splitlines() == [
        "files.files.D:\\a: templates/op/server.ini.j2: port is not given; set it in variables",
        "files.files.D:\\b: templates/op/broken.j2, line 1: Expected an expression, got 'end of statement block'",
        "files.files.D:\\c.template: no such file: templates/op/sever.ini.j2 (did you mean templates/op/server.ini.j2?)",
        "files.files.D:\\d.source: expected the name of a file below files/, with / between folders",
        f"files.files.D:\\e: {one}",
        "files.files.D:\\f: encoding goes with a template only",
        "files.files.D:\\g: line 1: cp1252 has no character U+260E, utf-8 has",
    ]


FAILING = ["{{ {}[port] + 1 }}", "{{ [][port] }}", "{{ port.x.y }}", "{{ 1 % port }}", "{{ ''|attr(port) + '' }}"]


@pytest.mark.parametrize("template", FAILING)
def test_no_error_of_a_template_shows_a_secret(tmp_path: Path, template: str) -> None:
    (tmp_path / "templates" / "op" / "bad.j2").write_text(template)
    given = r"files: {files: {'D:\a.ini': {template: op/bad.j2, variables: {port: {from_env: OP_TWO}}}}}"
    told = refused(tmp_path, given)
    assert told.startswith("files.files.D:\\a.ini: templates/op/bad.j2")
    assert "Correct-Horse" not in told


def test_the_digest_of_sources_is_of_the_files_that_are_used(tmp_path: Path) -> None:
    folder = inventory(tmp_path / "practices" / "two", {"db1": {"files": {"files": {"D:\\a": {"source": "logo.bin"}}}}})

    def now() -> str:
        found = roles.find()
        compiled(folder, found)
        return roles.sources(read(folder, ENVIRONMENT), found)

    first = now()
    (tmp_path / "templates" / "op" / "server.ini.j2").write_text("another")
    assert now() == first
    (tmp_path / "files" / "logo.bin").write_bytes(b"another")
    assert now() != first
