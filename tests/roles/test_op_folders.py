"""Folders: their rules, and that nobody closes one to SYSTEM and Administrators."""

from __future__ import annotations

from pathlib import Path

from labs import box
from roles_at_hand import refused, shipped
from roles_on_lab import converges, job, plan_text

GOLDEN = Path(__file__).parent / "golden"


def test_a_folder_and_its_rules(tmp_path: Path) -> None:
    given = r"""
        op_folders:
          folders:
            shared:
              path: 'D:\OP\gbd_common'
              owner: Administrators
              rules:
                - { principal: .\op-support, rights: Modify }
                - { principal: Guests, rights: FullControl, type: deny, applies_to: this_folder }
    """
    assert shipped(tmp_path, given) == (
        "directory D:\\OP\\gbd_common  [op_folders]\n"
        "    owner Administrators (S-1-5-32-544)\n"
        "access_rule D:\\OP\\gbd_common .\\op-support allow  [op_folders]\n"
        "    rights Modify\n"
        "access_rule D:\\OP\\gbd_common Guests deny  [op_folders]\n"
        "    rights FullControl\n"
        "    applies_to this_folder\n"
    )


def test_a_closed_folder_keeps_system_and_administrators(tmp_path: Path) -> None:
    given = r"op_folders: {folders: {closed: {path: 'D:\OP', inherits: false}}}"
    assert shipped(tmp_path, given) == (
        "directory D:\\OP  [op_folders]\n"
        "    inherits no\n"
        "access_rule D:\\OP SYSTEM allow  [op_folders]\n"
        "    rights FullControl\n"
        "access_rule D:\\OP Administrators allow  [op_folders]\n"
        "    rights FullControl\n"
    )


def test_an_exact_folder_is_a_scope_and_each_of_its_rules_exact(tmp_path: Path) -> None:
    given = r"""
        op_folders:
          folders:
            ours:
              path: 'D:\OP'
              inherits: false
              exact: true
              rules: [{ principal: Administrators, rights: Modify }, { principal: Users, rights: Read }]
    """
    assert shipped(tmp_path, given) == (
        "directory D:\\OP  [op_folders]\n"
        "    keep_inherited no\n"
        "    inherits no\n"
        "access_rule D:\\OP SYSTEM allow  [op_folders]\n"
        "    rights FullControl\n"
        "access_rule D:\\OP Administrators allow  [op_folders]\n"
        "    exact yes\n"
        "    rights Modify\n"
        "access_rule D:\\OP Users allow  [op_folders]\n"
        "    exact yes\n"
        "    rights Read\n"
        "scope access_rule folder D:\\OP  [op_folders]\n"
    )


SHARED = r"""
    op_folders:
      folders:
        medical_data:
          path: 'D:\OP\gdbmed'
          owner: Administrators
          inherits: false
          exact: true
          rules: [{ principal: Users, rights: Modify }]
          share:
            name: gdbmed
            permissions: [{ principal: Users, rights: change }]
"""


def test_a_folder_is_shared_and_nobody_else_let_in(tmp_path: Path) -> None:
    with box() as server:
        wanted = job(tmp_path, server, SHARED)
        assert plan_text(tmp_path, wanted) == (GOLDEN / "op_folders.txt").read_text(encoding="utf-8")
        converges(tmp_path, server, wanted)
    assert "    exact yes\n    path D:\\OP\\gdbmed\n    permissions Users (S-1-5-32-545): change\n" in shipped(tmp_path, SHARED)


def test_strangers_are_not_let_in_and_may_be_kept_out(tmp_path: Path) -> None:
    refusal = "refused: {} lets in whom nobody knows; name a group of the practice, or Users"
    everyone = SHARED.replace("principal: Users, rights: change", "principal: Everyone, rights: read")
    assert refused(tmp_path, everyone) == f"op_folders.folders.medical_data: {refusal.format('Everyone')}"
    guests = SHARED.replace("principal: Users, rights: Modify", "principal: Guests, rights: Read")
    assert refused(tmp_path, guests) == f"op_folders.folders.medical_data: {refusal.format('Guests')}"
    assert "permissions Guests (S-1-5-32-546): deny" in shipped(
        tmp_path, SHARED.replace("principal: Users, rights: change", "principal: Guests, rights: deny")
    )


def test_what_a_share_can_not_be(tmp_path: Path) -> None:
    open_to_all = SHARED.replace("            permissions: [{ principal: Users, rights: change }]\n", "")
    assert refused(tmp_path, open_to_all) == (
        "op_folders.folders.medical_data: a share needs permissions: without them Windows lets everybody read"
    )
    elsewhere = SHARED.replace("            name: gdbmed\n", "            name: gdbmed\n            path: 'D:\\'\n")
    assert refused(tmp_path, elsewhere).startswith(
        "op_folders.folders.medical_data: a share's path is its folder's; take path out of the share"
    )


def test_what_a_folder_can_not_be(tmp_path: Path) -> None:
    given = r"""
        op_folders:
          folders:
            share: { path: '\\server\share' }
            rules:
              path: 'D:\OP'
              rules:
                - { principal: Users, rights: Reed }
                - { principal: Users, right: Read }
                - { path: 'D:\', principal: Users, rights: Read }
            one: { path: 'D:\Data' }
            same: { path: 'd:\data\' }
    """
    told = refused(tmp_path, given).splitlines()
    assert told[0].startswith(r"op_folders.folders.share.path: expected a path on the host like D:\OP\data")
    assert told[1].startswith("op_folders.folders.rules: a rule's path is its folder's; take path out of the rule")
    without = refused(tmp_path, given.replace(r"path: 'D:\', ", "").replace(r"\\server\share", r"D:\Share")).splitlines()
    assert without[0].startswith("op_folders.folders.rules.rules[0].rights: 'Reed' is no right of files")
    assert without[1] == "op_folders.folders.rules.rules[1].right: no such setting (did you mean rights?)"


def test_one_folder_twice(tmp_path: Path) -> None:
    given = r"op_folders: {folders: {one: {path: 'D:\Data'}, same: {path: 'd:\data\'}}}"
    assert refused(tmp_path, given) == r"op_folders.folders: one and same are the same folder: d:\data"
