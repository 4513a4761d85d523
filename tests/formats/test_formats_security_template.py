"""Security templates: entries verbatim, rights by meaning, and the bytes that secedit wants."""

from __future__ import annotations

import pytest
from format_samples import OURS, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats import security_template as template

EXPORT = (OURS / "secedit-export.inf").read_bytes()


def test_an_export_is_printed_byte_for_byte() -> None:
    assert template.render(template.parse(EXPORT)) == EXPORT


def test_rights_are_read_by_meaning() -> None:
    assert template.privilege_rights(template.parse(EXPORT)) == {
        "SeServiceLogonRight": ("S-1-5-20", "S-1-5-80-0", "svc_op"),
        "SeBackupPrivilege": ("S-1-5-32-544",),
        "SeTcbPrivilege": (),
        "SeLaterWindowsRight": ("Müller, Praxis", "Gast"),
    }


def test_a_template_of_rights_holds_nothing_else() -> None:
    rights = {"SeServiceLogonRight": ["S-1-5-20", "svc_op"], "SeTcbPrivilege": []}
    assert template.render(template.rights_template(rights)).decode("utf-16").splitlines() == [
        "[Unicode]", "Unicode=yes", "[Version]", 'signature="$CHICAGO$"', "Revision=1",
        "[Privilege Rights]", "SeServiceLogonRight = *S-1-5-20,svc_op", "SeTcbPrivilege =",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ['a"b', "a\r\nSeTcbPrivilege = *S-1-1-0", " "])
def test_a_name_cannot_smuggle_in_another_line(name: str) -> None:
    with pytest.raises(ValueError, match="name or SID"):
        template.rights_template({"SeBatchLogonRight": [name]})


@pytest.mark.parametrize("content", [b"", "no section", b"\xff\xfe\x00", b"\xff\xff\xff"])
def test_what_is_no_template_is_refused(content: bytes | str) -> None:
    with pytest.raises(ValueError, match="not a security template"):
        template.parse(content)


def test_text_and_sections_in_any_order_are_read() -> None:
    text = "; made by hand\n[privilege rights]\n;SeTcbPrivilege = *S-1-1-0\nsetcbprivilege=\n\n[Unicode]\nUnicode=yes"
    parsed = template.parse(text)
    assert template.privilege_rights(parsed) == {"SeTcbPrivilege": ()}
    assert parsed.sections[0] == template.Section("", ("; made by hand",))


_NAMES = st.one_of(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6).map(lambda rids: "-".join(map(str, ["S-1-5", *rids]))),
    st.text(st.characters(categories=["L", "Nd"], include_characters=" ,.\\_-$="), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool),
)
_RIGHTS = st.dictionaries(st.sampled_from(template.RIGHTS), st.lists(_NAMES, max_size=4, unique=True).map(tuple), max_size=5)


@settings(max_examples=100)
@given(_RIGHTS)
def test_any_rights_survive_printing_and_reading(rights: dict[str, tuple[str, ...]]) -> None:
    printed = template.render(template.rights_template(rights))
    assert template.privilege_rights(template.parse(printed)) == rights


def test_every_real_template_is_read_and_printed_to_the_same_meaning() -> None:
    for path in shared("secedit/*.inf"):
        parsed = template.parse(path.read_bytes())
        assert template.parse(template.render(parsed)) == parsed, path
        rights = template.privilege_rights(parsed)
        assert template.privilege_rights(template.rights_template(rights)) == rights, path
        assert set(rights) <= set(template.RIGHTS), path
        assert not any(holder.startswith("*") for holders in rights.values() for holder in holders)
