"""Security descriptors: text and bytes say the same, aliases and tokens are mere spelling, and nothing gets lost."""

from __future__ import annotations

import json

import pytest
from format_samples import OURS, rows, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats import sddl

DESCRIPTORS = [tuple(cells) for cells in rows(OURS / "sddl.tsv")]


@pytest.mark.parametrize(("text", "blob"), DESCRIPTORS)
def test_text_and_bytes_say_the_same_and_print_each_other(text: str, blob: str) -> None:
    descriptor = sddl.from_bytes(bytes.fromhex(blob))
    assert sddl.parse(text) == descriptor
    assert sddl.render(descriptor) == text
    assert sddl.to_bytes(descriptor).hex() == blob


def test_an_entry_is_read_by_meaning() -> None:
    descriptor = sddl.parse("O:BAD:PAI(D;CIOI;SDRC;;;BU)(A;ID;0x1200A9;;;s-1-5-21-1-2-3-1001)")
    assert descriptor.owner == "S-1-5-32-544"
    assert (descriptor.group, descriptor.sacl) == (None, None)
    assert descriptor.dacl == sddl.Acl(
        frozenset({"P", "AI"}),
        (
            sddl.Ace("D", frozenset({"OI", "CI"}), 0x30000, "S-1-5-32-545"),
            sddl.Ace("A", frozenset({"ID"}), 0x1200A9, "S-1-5-21-1-2-3-1001"),
        ),
    )
    assert [ace.denies for ace in descriptor.dacl.aces] == [True, False]
    assert [ace.inherited for ace in descriptor.dacl.aces] == [False, True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("D:(A;;FA;;;BA)", "D:(A;;0x1f01ff;;;S-1-5-32-544)"),
        ("D:(A;;FRFX;;;AU)", "D:(A;;0x001200A9;;;AU)"),
        ("D:(A;OICI;DCLCRPCR;;;BU)", "D:(A;CIOI;278;;;BU)"),
        ("D:(A;;KRKW;;;BU)", "D:( A ; ; 0400037 ; ; ; bu )"),
        ("D:PAI(A;;GA;;;SY)", " D:AIP (A;;0x10000000;;;SY) "),
        ("D:NO_ACCESS_CONTROL", "D:PNO_ACCESS_CONTROL"),
        ("D:(A;;FA;;;S-1-5-18)", "D:(A;;FA;;;S-1-0x5-018)"),
    ],
)
def test_these_descriptors_mean_the_same(one: str, other: str) -> None:
    assert sddl.parse(one) == sddl.parse(other)


def test_the_same_letters_mean_what_their_field_means() -> None:
    audit = sddl.parse("S:(AU;SAFA;FA;;;WD)(AU;SA;WDRC;;;RC)").sacl
    assert audit is not None
    assert audit.aces[0] == sddl.Ace("AU", frozenset({"SA", "FA"}), 0x1F01FF, "S-1-1-0")
    assert audit.aces[1] == sddl.Ace("AU", frozenset({"SA"}), 0x60000, "S-1-5-12")


def test_no_entry_is_nobody_and_no_list_is_everybody() -> None:
    assert sddl.parse("D:").dacl == sddl.Acl()
    assert sddl.parse("O:BA").dacl is None
    assert sddl.parse("O:BAD:NO_ACCESS_CONTROL").dacl is None


def test_conditions_are_kept_as_written() -> None:
    text = 'D:(XA;OICI;FX;;;WD;(exists WIN://SYSAPPID && (a == "x)") ))S:(RA;;;;;WD;("name",TS,0,"D:(x;y"))'
    descriptor = sddl.parse(text)
    assert descriptor.dacl is not None
    assert descriptor.dacl.aces[0].raw == '(exists WIN://SYSAPPID && (a == "x)") )'
    assert sddl.render(descriptor) == text
    with pytest.raises(ValueError, match="SDDL"):
        sddl.to_bytes(descriptor)


def test_an_entry_type_of_a_later_windows_is_kept_whole() -> None:
    descriptor = sddl.parse("D:(QQ;what;ever;1;2;3;(x))(A;;FA;;;BA)")
    assert sddl.render(descriptor) == "D:(QQ;what;ever;1;2;3;(x))(A;;FA;;;BA)"
    assert descriptor != sddl.parse("D:(A;;FA;;;BA)")


def test_relative_aliases_become_sids_where_the_base_is_known() -> None:
    text = "O:LAG:DUD:(A;;FA;;;EA)"
    assert sddl.parse(text).owner == "LA"
    based = sddl.parse(text, machine_sid="S-1-5-21-1-1-1", domain_sid="S-1-5-21-2-2-2")
    assert (based.owner, based.group) == ("S-1-5-21-1-1-1-500", "S-1-5-21-2-2-2-513")
    assert based.dacl is not None
    assert based.dacl.aces[0].sid == "EA", "the forest's root may be another domain"
    with pytest.raises(ValueError, match="EA"):
        sddl.to_bytes(based)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("everyone", "character 0"),
        ("D:(A;;FA;;;BA", "never closed"),
        ("D:(A;;FA;;BA)", "type;flags;rights"),
        ("D:(A;;ZZ;;;BA)", "'ZZ'"),
        ("D:(A;;0xgg;;;BA)", "0XGG"),
        ("D:(A;;0x100000000;;;BA)", "32 bits"),
        ("D:(A;XX;FA;;;BA)", "'XX'"),
        ("D:(A;;FA;;;Administrators)", "Administrators"),
        ("D:X(A;;FA;;;BA)", "'X'"),
        ("O:BAO:BA", "once"),
        ("D:(A;;FA;;;BA)x", "expected an entry"),
        ("D:(A;;FA;;;S-1-5-99999999999)", "32 bits"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        sddl.parse(text)


def test_a_sid_alone_has_one_spelling() -> None:
    assert [sddl.sid("ba"), sddl.sid(" s-1-5-018 "), sddl.sid("DA", domain_sid="S-1-5-21-9")] == [
        "S-1-5-32-544", "S-1-5-18", "S-1-5-21-9-512",
    ]  # fmt: skip
    for nonsense in ("QQ", "Administrators", "S-1", ""):
        with pytest.raises(ValueError, match="alias"):
            sddl.sid(nonsense)


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_bytes_that_end_early_are_refused(cut: int) -> None:
    blob = bytes.fromhex(DESCRIPTORS[0][1])
    with pytest.raises(ValueError, match="self-relative"):
        sddl.from_bytes(blob[: -1 - cut])


@settings(max_examples=100)
@given(st.binary(max_size=80), st.integers(0, 200))
def test_damaged_bytes_never_raise_anything_else(noise: bytes, at: int) -> None:
    blob = bytes.fromhex(DESCRIPTORS[0][1])
    for damaged in (noise, blob[:at] + noise + blob[at + len(noise) :]):
        try:
            descriptor = sddl.from_bytes(damaged)
        except ValueError:
            continue
        assert sddl.from_bytes(sddl.to_bytes(descriptor)) == descriptor


@settings(max_examples=100)
@given(st.text('OGDS:;()APIR0x1"FABA- \u0663', max_size=40))
def test_any_text_is_read_or_refused_plainly(text: str) -> None:
    try:
        descriptor = sddl.parse(text)
    except ValueError:
        return
    assert descriptor.dacl is None or sddl.parse(sddl.render(descriptor)) == descriptor


def test_conditions_read_from_bytes_come_back() -> None:
    ace = sddl.Ace("XA", frozenset(), 0x20, "S-1-1-0", raw="#61727478")
    descriptor = sddl.SecurityDescriptor(dacl=sddl.Acl(aces=(ace,)))
    assert sddl.from_bytes(sddl.to_bytes(descriptor)) == descriptor


_SIDS = st.one_of(
    st.sampled_from(sorted(sddl.ALIASES.values())),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=15).map(lambda rids: "-".join(map(str, ["S-1-5", *rids]))),
    st.integers(2**32, 2**48 - 1).map(lambda authority: f"S-1-0x{authority:012x}-7"),
)
_GUIDS = st.just("") | st.uuids().map(str)
_ACES = st.one_of(
    st.builds(
        sddl.Ace,
        type=st.sampled_from(["A", "D", "AU", "ML"]),
        flags=st.frozensets(st.sampled_from(["OI", "CI", "NP", "IO", "ID", "SA", "FA", "CR"])),
        mask=st.integers(0, 2**32 - 1),
        sid=_SIDS,
    ),
    st.builds(sddl.Ace, type=st.just("OA"), flags=st.just(frozenset()), mask=st.just(0x130), sid=_SIDS, object_guid=_GUIDS,
              inherited_guid=_GUIDS),
)  # fmt: skip
_ACLS = st.builds(
    sddl.Acl, flags=st.frozensets(st.sampled_from(["P", "AI", "AR"])), aces=st.lists(_ACES, max_size=4).map(tuple)
)
_DESCRIPTORS = st.builds(
    sddl.SecurityDescriptor,
    owner=st.none() | _SIDS,
    group=st.none() | _SIDS,
    dacl=_ACLS,
    sacl=st.none() | _ACLS,
)


@settings(max_examples=100)
@given(_DESCRIPTORS)
def test_any_descriptor_survives_text_and_bytes(descriptor: sddl.SecurityDescriptor) -> None:
    assert sddl.parse(sddl.render(descriptor)) == descriptor
    assert sddl.from_bytes(sddl.to_bytes(descriptor)) == descriptor


def test_generic_rights_mean_the_objects_own() -> None:
    assert sddl.map_generic(0xA0000000) == 0x1200A9
    assert sddl.map_generic(0x10000000 | 0x1) == 0x1F01FF
    assert sddl.map_generic(0x1301BF) == 0x1301BF
    assert sddl.map_generic(0x80000000, sddl.SERVICE_GENERIC) == 0x2008D


def test_rights_are_those_of_the_references() -> None:
    default = sddl.parse(sddl.SERVICE_DEFAULT).dacl
    assert default is not None
    assert default.aces[1].mask == sddl.SERVICE_ALL_ACCESS == sum(sddl.SERVICE_RIGHTS.values())
    modify = sddl.FILE_RIGHTS["ReadAndExecute"] | sddl.FILE_RIGHTS["Write"] | sddl.FILE_RIGHTS["Delete"]
    assert modify == sddl.FILE_RIGHTS["Modify"]
    assert sddl.rights("FA") == sddl.FILE_RIGHTS["FullControl"]


def test_canonical_order_is_explicit_deny_allow_then_inherited_as_it_was() -> None:
    guid = "bf967a86-0de6-11d0-a285-00aa003049e2"
    acl = sddl.parse(f"D:(A;ID;FA;;;BA)(OA;;RP;{guid};;AU)(A;;FR;;;BU)(D;ID;FR;;;WD)(D;;FW;;;BU)").dacl
    assert acl is not None
    ordered = sddl.canonical_order(acl.aces)
    assert [ace.type + ("!" if ace.inherited else "") for ace in ordered] == ["D", "A", "OA", "A!", "D!"]


def test_every_stored_descriptor_is_what_its_text_says() -> None:
    for path in shared("sddl/*-security-descriptors.tsv"):
        for *_, text, blob in rows(path):
            descriptor = sddl.from_bytes(bytes.fromhex(blob))
            assert sddl.parse(text) == descriptor, text
            assert sddl.parse(sddl.render(descriptor)) == descriptor, text
            assert sddl.from_bytes(sddl.to_bytes(descriptor)) == descriptor, text


def test_every_descriptor_as_written_is_read_and_printed_to_the_same_meaning() -> None:
    for (path,) in [shared("sddl/sddl-as-written.tsv")]:
        for place, text in rows(path):
            descriptor = sddl.parse(text)
            assert sddl.parse(sddl.render(descriptor)) == descriptor, place


def test_every_service_of_the_hives_has_a_readable_descriptor_or_other_data() -> None:
    for path in shared("services/*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            blob = bytes.fromhex(json.loads(line).get("security") or "")
            if len(blob) >= 20:
                assert sddl.from_bytes(blob).dacl is not None
