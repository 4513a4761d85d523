"""Access lists evaluated and rewritten: what a write promises holds for any list, not only for those of the case files."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cases import SERVER
from opdeploy.calls import host_read
from opdeploy.formats import sddl
from opdeploy.formats.sddl import Ace, Acl, SecurityDescriptor
from opdeploy.guard import Session
from opdeploy.model import Machine, Principal
from opdeploy.planning import Desired, Managed, World, plan, plan_one
from opdeploy.resources import access
from opdeploy.resources.access_rule import AccessRule
from opdeploy.resources.base import Answers, Scope
from opdeploy.resources.directory import Directory

OP = "S-1-5-21-1-2-3-1005"
SIDS = ["S-1-5-18", "S-1-5-32-544", "S-1-5-32-545", "S-1-1-0", OP, "S-1-5-21-1-2-3-1006"]
MASKS = [0x1F01FF, 0x1301BF, 0x1200A9, 0x120089, 0x100116, 0x10000, 0x116, 0x40, 0x10000000, 0xE0010000]
FOLDER = {"directory": True, "modified": "", "piece": None, "empty": False}
FILE = {"directory": False, "modified": "", "piece": None, "size": 0, "version": None, "sha256": ""}

flags = st.sets(st.sampled_from(["OI", "CI", "IO", "NP"])).map(frozenset)
aces = st.builds(Ace, st.sampled_from(["A", "D"]), flags, st.sampled_from(MASKS), st.sampled_from(SIDS))
control = st.sampled_from([frozenset(), frozenset({"AI"}), frozenset({"P"}), frozenset({"P", "AI"})])


@st.composite
def descriptors(draw: st.DrawFn) -> SecurityDescriptor:
    own = sddl.canonical_order(draw(st.lists(aces, max_size=5)))
    above = [Ace(ace.type, ace.flags | {"ID"}, ace.mask, ace.sid) for ace in draw(st.lists(aces, max_size=4))]
    return SecurityDescriptor("S-1-5-32-544", "S-1-5-18", Acl(draw(control), (*own, *above)))


rules = st.builds(
    lambda **given: AccessRule.observed(path=r"D:\OP", principal=Principal("op", OP), **given),
    type=st.sampled_from(["allow", "deny"]),
    rights=st.lists(st.sampled_from(["Read", "Write", "Modify", "FullControl", "Delete"]), min_size=1, max_size=2),
    applies_to=st.lists(st.sampled_from(access.ALL), min_size=1, max_size=3),
    propagation=st.sampled_from(["all_levels", "one_level"]),
    exact=st.booleans(),
)


def answers(rule: AccessRule, found: SecurityDescriptor, stat: dict[str, Any] = FOLDER) -> Answers:
    reads = rule.reads()
    return Answers(reads, {reads["sddl"].key: sddl.render(found), reads["stat"].key: stat})


def applied(rule: AccessRule, found: SecurityDescriptor, stat: dict[str, Any] = FOLDER) -> SecurityDescriptor:
    """What the host has once the rule's own write was made: what is inherited is as it was."""
    change = plan_one(Managed(rule), world(rule, found, stat))
    (write,) = rule.writes(change, answers(rule, found, stat))
    after = sddl.parse(write.args["sddl"])
    assert after.dacl is not None
    assert found.dacl is not None
    inherited = tuple(ace for ace in found.dacl.aces if ace.inherited)
    return SecurityDescriptor(found.owner, found.group, Acl(after.dacl.flags, after.dacl.aces + inherited))


def world(rule: AccessRule, found: SecurityDescriptor, stat: dict[str, Any]) -> World:
    reads = rule.reads()
    return World(SERVER, {reads["sddl"].key: sddl.render(found), reads["stat"].key: stat}, Session())


def same(rule: AccessRule, actual: AccessRule | None) -> bool:
    if actual is None:
        return False
    return (actual.rights, actual.applies_to, actual.propagation) == (rule.rights, rule.applies_to, rule.propagation)


def masks(found: SecurityDescriptor, sid: str, type: access.RuleType) -> dict[str, int]:
    assert found.dacl is not None
    return access.united(access.entries(found.dacl.aces, sid, type), folder=True)


def others(found: SecurityDescriptor, but: tuple[str, str]) -> list[Ace]:
    assert found.dacl is not None
    listed = access.explicit(found.dacl.aces)
    return [ace for ace in listed if (ace.sid, ace.type) != but]


def test_what_a_rule_applies_to_is_the_flags_that_explorer_would_set() -> None:
    flags = {
        (("this_folder", "subfolders", "files"), "all_levels"): {"OI", "CI"},
        (("this_folder",), "all_levels"): set(),
        (("this_folder", "subfolders"), "all_levels"): {"CI"},
        (("this_folder", "files"), "all_levels"): {"OI"},
        (("subfolders", "files"), "all_levels"): {"OI", "CI", "IO"},
        (("subfolders",), "all_levels"): {"CI", "IO"},
        (("files",), "one_level"): {"OI", "IO", "NP"},
        (("this_folder", "subfolders", "files"), "one_level"): {"OI", "CI", "NP"},
    }
    for (applies_to, propagation), expected in flags.items():
        assert access.flags_of(access.parts_of(applies_to, propagation)) == expected  # type: ignore[arg-type]


@given(st.sets(st.sampled_from(access.ALL), min_size=1), st.sampled_from(["all_levels", "one_level"]))
def test_an_entry_reaches_just_the_parts_that_its_flags_were_made_for(applies_to: set[str], propagation: Any) -> None:
    parts = access.parts_of(applies_to, propagation)
    ace = access.new_entry("allow", OP, 1, access.flags_of(parts))
    assert set(access.reach(ace, folder=True)) == set(parts)


@given(st.integers(0, 0xFFFFFFFF))
def test_words_name_every_bit_of_a_mask(mask: int) -> None:
    said = access.words(mask)
    total = 0
    for word in [] if said == "nothing" else said.split(", "):
        total |= int(word, 16) if word.startswith("0x") else access.Rights.parse(word).mask
    assert total == mask


@given(rules, descriptors())
@settings(max_examples=60, deadline=None)
def test_a_written_rule_reads_back_in_sync(rule: AccessRule, found: SecurityDescriptor) -> None:
    assert same(rule, rule.actual(answers(rule, applied(rule, found))))


@given(rules, descriptors())
@settings(max_examples=60, deadline=None)
def test_a_write_keeps_the_control_flags_and_everybody_elses_entries(rule: AccessRule, found: SecurityDescriptor) -> None:
    after = applied(rule, found)
    assert after.dacl
    assert found.dacl
    assert after.dacl.flags == found.dacl.flags
    mine = (OP, "A" if rule.type == "allow" else "D")
    assert sorted(map(sddl.render_ace, others(after, mine))) == sorted(map(sddl.render_ace, others(found, mine)))


@given(rules, descriptors())
@settings(max_examples=60, deadline=None)
def test_only_explicit_entries_are_written_in_canonical_order(rule: AccessRule, found: SecurityDescriptor) -> None:
    change = plan_one(Managed(rule), world(rule, found, FOLDER))
    (write,) = rule.writes(change, answers(rule, found))
    dacl = sddl.parse(write.args["sddl"]).dacl
    assert dacl
    assert not any(ace.inherited for ace in dacl.aces)
    assert dacl.aces == sddl.canonical_order(dacl.aces)
    assert write.args["expect"] == sddl.render(found)
    assert not write.args["owner"]


@given(rules.filter(lambda rule: not rule.exact and rule.type == "allow"), descriptors())
@settings(max_examples=60, deadline=None)
def test_an_additive_rule_takes_nothing_away(rule: AccessRule, found: SecurityDescriptor) -> None:
    before, after = masks(found, OP, "allow"), masks(applied(rule, found), OP, "allow")
    assert all(after.get(part, 0) & mask == mask for part, mask in before.items())


@given(descriptors(), st.sampled_from(["allow", "deny"]))
@settings(max_examples=60, deadline=None)
def test_an_absent_rule_leaves_no_explicit_entry(found: SecurityDescriptor, type: access.RuleType) -> None:
    rule = AccessRule(path=r"D:\OP", principal=Principal("op", OP), type=type, absent=True)
    after = applied(rule, found)
    assert after.dacl
    assert not access.entries(access.explicit(after.dacl.aces), OP, type)


@given(rules.filter(lambda rule: not rule.exact), descriptors())
@settings(max_examples=60, deadline=None)
def test_on_a_file_no_flag_is_written(rule: AccessRule, found: SecurityDescriptor) -> None:
    assert found.dacl is not None
    flat = tuple(Ace(ace.type, ace.flags & {"ID"}, ace.mask, ace.sid) for ace in found.dacl.aces)
    bare = SecurityDescriptor(found.owner, found.group, Acl(found.dacl.flags, flat))
    after = applied(rule, bare, FILE)
    assert after.dacl
    assert not any(ace.flags - {"ID"} for ace in after.dacl.aces)
    assert same(rule, rule.actual(answers(rule, after, FILE)))


@given(descriptors(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_folder_that_opens_or_closes_gives_no_less_than_before(found: SecurityDescriptor, inherits: bool) -> None:
    folder = Directory(path=r"D:\OP", inherits=inherits)
    reads = folder.reads()
    observed = {reads["stat"].key: FOLDER, reads["sddl"].key: sddl.render(found)}
    change = plan_one(Managed(folder), World(SERVER, observed, Session()))
    if change.verdict == "in_sync":
        return
    (write,) = folder.writes(change, Answers(reads, observed))
    after = sddl.parse(write.args["sddl"])
    assert after.dacl
    assert ("P" in after.dacl.flags) is not inherits
    if inherits:
        return  # what comes from above is Windows' to add
    for sid in SIDS:
        for type in ("allow", "deny"):
            assert masks(after, sid, type) == masks(found, sid, type)


def test_an_owned_folder_always_keeps_system_and_administrators() -> None:
    text = f"O:BAG:SYD:PAI(D;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FR;;;BU)(A;OICI;FR;;;{OP})(A;OICIID;FA;;;WD)"
    scope = Scope(AccessRule, r"D:\OP")
    extras = list(AccessRule.found(scope.of, Answers(scope.reads(), {scope.reads()["sddl"].key: text})))
    assert [extra.key for extra in extras] == [r"D:\OP Administrators deny", r"D:\OP Users allow", rf"D:\OP {OP} allow"]
    assert all(extra.absent for extra in extras)


def test_what_the_inventory_names_is_no_extra_however_it_is_named() -> None:
    rule = AccessRule(path=r"d:\op", principal=".\\op", rights="Read")  # type: ignore[arg-type]
    scope = Scope(AccessRule, r"D:\OP")
    text = f"O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FR;;;BU)(A;OICI;FR;;;{OP})"
    observed = {
        read.key: text if read.verb == "sddl.read" else FOLDER for read in [*rule.reads().values(), *scope.reads().values()]
    }
    observed |= {
        '["sid.resolve",{"name":".\\\\op"}]': {"sid": OP},
        AccessRule(path=r"D:\OP", principal="Users", absent=True).reads()["stat"].key: FOLDER,
    }  # type: ignore[arg-type]
    changes = plan(Desired((Managed(rule),), ((scope, ("op_folders",)),)), World(SERVER, observed, Session()))
    assert [(change.resource.key, change.action) for change in changes] == [
        (r"d:\op .\op allow", "none"),
        (r"D:\OP Users allow", "remove"),
    ]
    assert changes[1].reason == r"not in the inventory, folder D:\OP is exact"


def test_the_machines_own_aliases_are_told_by_its_sid() -> None:
    """Windows prints the built-in Administrator as LA."""
    administrator = f"{SERVER.machine_sid}-500"
    rule = AccessRule(path=r"D:\OP", principal=administrator, rights="Read")  # type: ignore[arg-type]
    reads = rule.reads()
    observed = {
        reads["sddl"].key: "O:LAG:SYD:PAI(A;OICI;FR;;;LA)",
        reads["stat"].key: FOLDER,
        host_read().key: {name: getattr(SERVER, name) for name in Machine.__dataclass_fields__},
    }
    assert same(rule, rule.actual(Answers(reads, observed)))
