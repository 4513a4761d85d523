"""Audit policy CSV: three dialects by position, in any language."""

from __future__ import annotations

import pytest
from format_samples import OURS, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats import audit_csv as audit

LOGON, LOGOFF, LOCKOUT = (f"{{0CCE92{xx}-69AE-11D9-BED3-505054503030}}" for xx in ("15", "16", "17"))
LATER = "{0CCE92FF-69AE-11D9-BED3-505054503030}"


def _read(name: str) -> audit.AuditPolicy:
    return audit.parse((OURS / name).read_bytes())


def test_a_backup_is_read_by_guid_and_number() -> None:
    policy = _read("audit-backup.csv")
    assert policy.dialect == "backup"
    assert audit.settings(policy) == {LOGON: 3, LOGOFF: 1, LATER: 0}


def test_rows_that_are_no_system_setting_are_kept_verbatim() -> None:
    kept = [row.cells for row in _read("audit-backup.csv").rows if row.guid is None]
    assert [cells[2] for cells in kept] == ["Logon", "Option:CrashOnAuditFail", "FileGlobalSacl"]
    assert kept[2][4] == 'S:(AU;SAFA;FA;;;WD)(RA;;;;;WD;("a",TS,0,"x,y"))'


def test_a_policys_file_says_unchanged_by_nought_and_nothing_by_four() -> None:
    policy = _read("audit-gpo.csv")
    assert policy.dialect == "gpo"
    assert audit.settings(policy) == {LOGON: 3, LOGOFF: 0, LOCKOUT: None}


def test_translated_words_without_a_number_are_unknown_not_none() -> None:
    policy = _read("audit-get.csv")
    assert policy.dialect == "get"
    assert audit.settings(policy) == {LOGON: 3, LOGOFF: None}


@pytest.mark.parametrize("name", ["audit-backup.csv", "audit-get.csv", "audit-gpo.csv"])
def test_printing_keeps_every_cell(name: str) -> None:
    policy = _read(name)
    assert audit.parse(audit.render(policy)) == policy


@pytest.mark.parametrize("text", ["", "a,b\n1,2", 'a,b,c,d,e,"f'])
def test_what_is_no_audit_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an audit policy"):
        audit.parse(text)


def test_a_console_code_page_does_not_hide_guid_and_number() -> None:
    header = "Nom d'ordinateur,Cible,Sous-catégorie,GUID,Inclusion,Exclusion,Valeur\n"
    row = f"DB1,System,Fermer la session,{LOGOFF.lower()},Réussite,,1\n"
    assert audit.settings(audit.parse((header + row).encode("cp850"))) == {LOGOFF: 1}


def test_a_subcategory_is_its_guid_or_english_name() -> None:
    assert [*map(audit.subcategory, ("logon", "Audit Logon", LATER.lower()))] == [LOGON, LOGON, LATER]
    assert audit.subcategory("Audit Policy Change") == "{0CCE922F-69AE-11D9-BED3-505054503030}"
    with pytest.raises(ValueError, match="credential validation"):
        audit.subcategory("Anmelden")


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(audit.SUBCATEGORIES)), st.integers(0, 3)))
def test_any_policy_survives_printing_and_reading(wanted: dict[str, int]) -> None:
    policy = audit.backup(tuple(audit.setting(guid, value, "DB1") for guid, value in wanted.items()))
    again = audit.parse(audit.render(policy))
    assert audit.settings(again) == wanted
    assert again == policy or not wanted


def test_a_setting_has_four_values() -> None:
    with pytest.raises(ValueError, match="3 both"):
        audit.setting(LOGON, 4)


def test_every_real_policy_is_read_and_printed_to_the_same_meaning() -> None:
    for path in shared("auditpol/backup-*.csv", "auditpol/get-*.csv", "auditpol/gpo-*.csv"):
        policy = audit.parse(path.read_bytes())
        assert policy.dialect == path.name.split("-")[0], path
        assert audit.parse(audit.render(policy)) == policy, path
        found = audit.settings(policy)
        assert found, path
        assert set(found) <= set(audit.SUBCATEGORIES), path
        assert None not in found.values(), path


def test_our_names_are_auditpols() -> None:
    (path,) = shared("auditpol/list-r-*.csv")
    pairs = [line.rsplit(",", 1) for line in path.read_text("utf-8").splitlines() if line.startswith("  ")]
    assert len(pairs) > 50
    for name, guid in pairs:
        assert audit.SUBCATEGORIES[guid] == name.strip()
