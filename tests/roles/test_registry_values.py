"""Registry values, as a list."""

from __future__ import annotations

from pathlib import Path

from roles_at_hand import refused, shipped


def test_values_of_both_views(tmp_path: Path) -> None:
    given = r"""
        registry_values:
          values:
            - { path: SOFTWARE\OP, name: Server, type: string, data: db1 }
            - { path: SOFTWARE\OP, name: Server, view: '32', absent: true }
            - { path: SOFTWARE\OP, type: binary, data: '00 ff' }
    """
    assert shipped(tmp_path, given) == (
        "registry_value HKLM\\SOFTWARE\\OP Server  [registry_values]\n"
        "    type string\n"
        "    data db1\n"
        "registry_value HKLM\\SOFTWARE\\OP Server (32-bit view)  [registry_values]\n"
        "    absent yes\n"
        "registry_value HKLM\\SOFTWARE\\OP (default)  [registry_values]\n"
        "    type binary\n"
        "    data 00 ff\n"
    )


def test_what_a_value_can_not_be(tmp_path: Path) -> None:
    given = r"""
        registry_values:
          values:
            - { path: HKLM\SOFTWARE\OP, name: Server, type: string, data: db1 }
            - { path: SOFTWARE\OP, name: Server, type: dword, data: true }
            - { path: SOFTWARE\OP, name: Server, type: dwrd, data: 1 }
    """
    told = refused(tmp_path, given).splitlines()
    assert told[0].startswith("registry_values.values[0].path: the hive is a setting of its own")
    assert told[1].startswith("registry_values.values[1].data: expected a whole number from 0 to 4294967295")
    assert "registry_values.values[2].type: " in told[2]
    assert told[2].endswith("(did you mean dword?)")


def test_one_value_twice_is_said_once_or_not_at_all(tmp_path: Path) -> None:
    value = r"{ path: SOFTWARE\OP, name: Server, type: string, data: db1 }"
    twice = f"registry_values: {{values: [{value}, {value.replace('SOFTWARE', 'Software')}]}}"
    assert shipped(tmp_path, twice).count("registry_value HKLM") == 1
    assert "registry_value HKLM\\SOFTWARE\\OP Server: data is db1 by registry_values (" in refused(
        tmp_path, twice.replace("data: db1 }]", "data: db2 }]")
    )
