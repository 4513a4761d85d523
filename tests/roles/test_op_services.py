"""Services by the names that the inventory gives them."""

from __future__ import annotations

from pathlib import Path

from roles_at_hand import refused, shipped


def test_a_service_is_what_stands_below_its_name(tmp_path: Path) -> None:
    given = r"""
        op_services:
          services:
            FirebirdServerDefaultInstance:
              start_mode: automatic_delayed
              state: running
              recovery: { actions: [restart 1m, none], reset: 1d }
              grants: [{ principal: .\op-support, rights: [start, query] }]
            OPMsg: { absent: true }
            Spooler:
    """
    assert shipped(tmp_path, given) == (
        "service FirebirdServerDefaultInstance  [op_services]\n"
        "    start_mode automatic_delayed\n"
        "    state running\n"
        "    recovery restart 1m, none; reset after 1d\n"
        "    grants .\\op-support (<SID of .\\op-support>): start, query\n"
        "service OPMsg  [op_services]\n"
        "    absent yes\n"
        "service Spooler  [op_services]\n"
    )


def test_what_a_service_can_not_be(tmp_path: Path) -> None:
    given = """
        op_services:
          services:
            one: { start_mod: manual }
            two: { start_mode: manuel }
            three: { state: running, start_mode: disabled }
            four: running
    """
    assert refused(tmp_path, given).splitlines() == [
        "op_services.services.one.start_mod: no such setting (did you mean start_mode?)",
        "op_services.services.two.start_mode: expected 'automatic', 'automatic_delayed', 'manual', 'disabled', 'boot' or "
        "'system', found 'manuel' (did you mean manual?)",
        "op_services.services.three: a disabled service can't be kept running",
        "op_services.services.four: expected keys and values, found 'running'",
    ]


def test_the_name_stands_before_the_colon_only(tmp_path: Path) -> None:
    assert refused(tmp_path, "op_services: {services: {Spooler: {name: spooler}}}") == (
        "op_services.services: Spooler: its name is what stands before the colon; take name out"
    )
