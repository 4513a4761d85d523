"""The raw state: dumps, the registry's two views, names, and who inherits what."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opdeploy.lab.windows import accounts, files, inheritance, registry, sddl, servers
from opdeploy.lab.windows.errors import Refused
from opdeploy.lab.windows.sddl import Ace, Acl, Descriptor
from opdeploy.lab.windows.state import dump, load

HOSTS = [servers.database_server, servers.backup_station, servers.terminal_server]


@pytest.mark.parametrize("host", HOSTS)
def test_a_dump_loads_back_to_the_same_bytes(host):
    text = dump(host())
    assert dump(load(text)) == text
    assert dump(host()) == text, "two machines of one kind start alike"
    assert json.loads(text)["facts"]["name"]


def test_the_32_bit_view_of_software_is_a_key_of_its_own():
    state = servers.bare()
    registry.set_value(registry.create(state, r"Software\Vendor", view="Registry32"), "A", "String", "x")
    assert registry.find(state, r"SOFTWARE\Vendor") is None
    assert registry.value(registry.find(state, r"software\wow6432node\VENDOR"), "a") == "x"
    assert registry.find(state, r"SYSTEM\CurrentControlSet", view="Registry32") is registry.find(
        state, r"SYSTEM\CurrentControlSet"
    )


def test_reading_the_registry_makes_no_key():
    state = servers.bare()
    before = dump(state)
    assert registry.find(state, r"No\Such", hive="ClassesRoot") is None
    assert dump(state) == before


def test_an_unknown_hive_is_refused():
    with pytest.raises(Refused):
        registry.find(servers.bare(), "X", hive="Nonsense")


@pytest.mark.parametrize(
    ("name", "sid"),
    [
        ("Administrators", "S-1-5-32-544"),
        ("BUILTIN\\administrators", "S-1-5-32-544"),
        ("SYSTEM", "S-1-5-18"),
        ("NT AUTHORITY\\LOCAL SERVICE", "S-1-5-19"),
        ("Everyone", "S-1-1-0"),
        ("NT SERVICE\\TrustedInstaller", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"),
        ("NT SERVICE\\NoSuchService", None),
        ("nobody", None),
        ("OTHER\\opadmin", None),
    ],
)
def test_names_resolve_as_lsa_does(name, sid):
    assert accounts.sid_of(servers.bare(), name) == sid


@pytest.mark.parametrize("form", [".\\opadmin", "HOST1\\opadmin", "opadmin", "OPADMIN"])
def test_a_local_account_has_many_names(form):
    state = servers.bare()
    assert accounts.name_of(state, accounts.sid_of(state, form) or "") == "HOST1\\opadmin"


def test_a_german_windows_knows_only_german_names():
    state = servers.bare(culture="de-DE")
    assert accounts.name_of(state, "S-1-5-32-544") == "VORDEFINIERT\\Administratoren"
    assert accounts.sid_of(state, "Administrators") is None
    assert accounts.sid_of(state, "Jeder") == "S-1-1-0"


def test_a_member_resolves_the_domains_accounts():
    state = servers.joined(servers.bare())
    assert accounts.sid_of(state, "PRACTICE\\op-service") == accounts.sid_of(state, "op-service@practice.local") != None  # noqa: E711


def test_a_filtered_token_is_not_elevated_and_the_built_in_administrators_is():
    state = servers.filtered(servers.bare())
    admin, built_in = accounts.sid_of(state, ".\\opadmin") or "", f"{state.facts.machine_sid}-500"
    assert not accounts.token_of(state, admin).elevated
    assert "S-1-5-32-544" not in accounts.token_of(state, admin).sids
    assert accounts.token_of(state, built_in).elevated
    assert accounts.token_of(servers.bare(), admin).elevated


# ---------------------------------------------------------------- descriptors

SIDS = st.sampled_from(["S-1-1-0", "S-1-3-0", "S-1-5-18", "S-1-5-32-544", "S-1-5-21-1-2-3-1001", "S-1-5-80-1-2-3-4-5"])
ACES = st.builds(
    Ace,
    st.sampled_from([0, 1]),
    st.integers(0, 31),
    st.sampled_from([0x1F01FF, 0x1301BF, 0x1200A9, 0x120089, 0x116, 0x10000000, 0xE0010000]),
    SIDS,
)
ACLS = st.builds(Acl, st.lists(ACES, max_size=6).map(tuple), st.frozensets(st.sampled_from(["P", "AI"])))
DESCRIPTORS = st.builds(Descriptor, SIDS, SIDS, ACLS)


@given(DESCRIPTORS)
def test_a_descriptor_reads_back_from_text_and_from_bytes(descriptor):
    assert sddl.parse(sddl.render(descriptor)) == descriptor
    assert sddl.parse(sddl.render(descriptor, files=False)) == descriptor
    assert sddl.from_bytes(sddl.to_bytes(descriptor)) == descriptor


def test_the_binary_form_is_that_of_windows():
    """Laid out as an NTFS volume of a Server 2012 R2 has it: list first, eight bytes of slack, then owner and group."""
    raw = (
        "010004985000000060000000000000001400000002003c000200000000001400ff011f0001010000000000051200000000001800"
        "a900120001020000000000052000000020020000000000000000000001020000000000052000000020020000010100000000000512000000"
    )
    found = sddl.from_bytes(bytes.fromhex(raw))
    assert sddl.render(found) == "O:BAG:SYD:P(A;;FA;;;SY)(A;;0x1200a9;;;BA)"


@pytest.mark.parametrize("text", ["D:(A;;FA;;;XX)", "nonsense", "D:(A;;FA;;)", "D:(ZZ;;FA;;;SY)", "D:P(A;;FA;;;SY"])
def test_what_is_no_sddl_is_refused(text):
    with pytest.raises((ValueError, KeyError)):
        sddl.parse(text)


def test_a_new_folder_inherits_as_windows_has_it():
    """Compared with descriptors of a real Server 2012 R2: below the drive, and below Program Files."""
    state = servers.bare()
    installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    entry = files.put_folder(state, "C:\\Program Files\\X", "S-1-5-32-544")
    assert files.text(state, entry).partition("D:")[2] == (
        f"AI(A;ID;FA;;;{installer})(A;CIIOID;GA;;;{installer})(A;ID;FA;;;SY)(A;OICIIOID;GA;;;SY)(A;ID;FA;;;BA)"
        "(A;OICIIOID;GA;;;BA)(A;ID;0x1200a9;;;BU)(A;OICIIOID;GXGR;;;BU)(A;OICIIOID;GA;;;CO)(A;ID;0x1200a9;;;AC)"
        "(A;OICIIOID;GXGR;;;AC)"
    )
    entry = files.put_folder(state, "C:\\X", "S-1-5-18")
    assert files.text(state, entry).partition("D:")[2] == (
        "AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;0x1200a9;;;BU)(A;CIID;LC;;;BU)(A;CIID;DC;;;BU)(A;OICIIOID;GA;;;CO)"
    )


def test_the_creator_gets_what_creator_owner_says():
    state = servers.bare()
    entry = files.put_folder(state, "C:\\X", "S-1-5-21-1-2-3-1001")
    assert "(A;ID;FA;;;S-1-5-21-1-2-3-1001)(A;OICIIOID;GA;;;CO)" in files.text(state, entry)


def test_a_write_reaches_what_is_below_and_stops_at_a_protected_folder():
    state = servers.bare()
    top = files.put_folder(state, "C:\\Top", "S-1-5-32-544")
    open_one = files.put_folder(state, "C:\\Top\\Open", "S-1-5-32-544")
    closed = files.put_folder(state, "C:\\Top\\Closed", "S-1-5-32-544")
    files.write_access(state, closed, sddl.parse("D:PAI(A;OICI;FA;;;SY)").dacl or Acl())
    files.write_access(state, top, sddl.parse("D:AI(A;OICI;0x1301bf;;;BU)(A;OICIID;FA;;;WD)").dacl or Acl())
    assert files.text(state, top).partition("D:")[2].startswith("AI(A;OICI;0x1301bf;;;BU)(A;OICIID;FA;;;SY)")
    assert "WD" not in files.text(state, top), "an inherited entry is never written"
    assert "(A;OICIID;0x1301bf;;;BU)" in files.text(state, open_one)
    assert files.text(state, closed).partition("D:")[2] == "PAI(A;OICI;FA;;;SY)"


def test_what_is_written_is_split_merged_and_put_in_order():
    read = sddl.parse("D:(A;OICI;GA;;;BU)(A;;FR;;;SY)(D;;FA;;;WD)(A;;FW;;;SY)(A;ID;FA;;;BA)").dacl or Acl()
    written = inheritance.as_written(read.aces, folder=True)
    assert sddl.render(Descriptor(dacl=Acl(written))) == "D:(D;;FA;;;WD)(A;;FA;;;BU)(A;OICIIO;GA;;;BU)(A;;0x12019f;;;SY)"


def test_a_deny_before_an_allow_wins_and_inherit_only_counts_nothing():
    aces = (sddl.parse("D:(D;;0x2;;;WD)(A;;FA;;;SY)(A;OICIIO;GA;;;BU)").dacl or Acl()).aces
    assert inheritance.granted(aces, frozenset(["S-1-5-18", "S-1-1-0"])) == 0x1F01FF & ~0x2
    assert inheritance.granted(aces, frozenset(["S-1-5-32-545"])) == 0
