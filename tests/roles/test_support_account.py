"""The support's account: what it gets without a word, what it never is, and what it can't be."""

from __future__ import annotations

from pathlib import Path

from roles_at_hand import refused, shipped


def test_an_account_is_a_user_its_groups_and_its_rights_and_no_administrator(tmp_path: Path) -> None:
    given = """
        support_account: {name: op-support, password: {from_env: OP_TWO}, full_name: OP Support, account_expires: 2031-01-31}
    """
    assert shipped(tmp_path, given) == (
        "local_user .\\op-support  [support_account]\n"
        "    full_name OP Support\n"
        "    enabled yes\n"
        "    password_never_expires yes\n"
        "    user_may_not_change_password yes\n"
        "    account_expires 2031-01-31T00:00:00Z\n"
        "    password (secret)\n"
        "group_members Remote Desktop Users  [support_account]\n"
        "    members .\\op-support (<SID of .\\op-support>)\n"
        "group_members Event Log Readers  [support_account]\n"
        "    members .\\op-support (<SID of .\\op-support>)\n"
        "group_members Administrators  [support_account]\n"
        "    absent yes\n"
        "    members .\\op-support (<SID of .\\op-support>)\n"
        "user_right SeBatchLogonRight  [support_account]\n"
        "    principals .\\op-support (<SID of .\\op-support>)\n"
    )


def test_groups_and_rights_are_those_named(tmp_path: Path) -> None:
    given = """
        support_account:
          name: op-support
          password: {from_env: OP_TWO}
          groups: [Administrators, S-1-5-32-559]
          rights: []
    """
    told = shipped(tmp_path, given)
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "local_user .\\op-support  [support_account]",
        "group_members Administrators  [support_account]",
        "group_members Performance Log Users  [support_account]",
    ]
    assert "absent" not in told


def test_what_an_account_can_not_be(tmp_path: Path) -> None:
    assert refused(tmp_path, "support_account:\n") == (
        "support_account.name: missing (the account's name without a domain, such as op-support)\n"
        "support_account.password: missing (each host its own: {from_env: NAME} or {from_file: PATH})"
    )
    assert refused(tmp_path, "support_account: {name: op, password: Sommer2024!}\n") == (
        "support_account.password: a secret may not stand in the inventory (write {from_env: NAME} or {from_file: PATH})"
    )


def test_what_only_windows_refuses_is_told_at_the_role(tmp_path: Path) -> None:
    given = "support_account: {name: 'op/support', password: {from_env: OP_TWO}, rights: [SeBatchLogonRigth]}\n"
    first = refused(tmp_path, given)
    assert first.startswith("support_account: local_user: name: a user's name can't hold '/'")
    assert "roles/support_account/role.py:" in first
    right = refused(tmp_path, given.replace("op/support", "op-support"))
    assert right.startswith("support_account: user_right: right: 'SeBatchLogonRigth' is no user right: did you mean SeBatch")
