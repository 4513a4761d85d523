"""FailureActions: what the bytes say, whatever the pointers' remains in them."""

from __future__ import annotations

import json

import pytest
from format_samples import OURS, rows, shared
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.formats.failure_actions import Action, FailureActions, parse, render


def _said(failure: FailureActions) -> str:
    reset = "never" if failure.reset_seconds is None else failure.reset_seconds
    return f"{reset}: " + ", ".join(f"{kind} {delay}" for kind, delay in failure.actions)


@pytest.mark.parametrize(("blob", "said"), [tuple(cells) for cells in rows(OURS / "failure-actions.tsv")])
def test_the_value_is_read_by_meaning_and_printed_again(blob: str, said: str) -> None:
    failure = parse(bytes.fromhex(blob))
    assert _said(failure) == said
    assert parse(render(failure)) == failure


def test_no_value_takes_no_action_and_strings_stand_beside() -> None:
    assert parse(None, "C:\\x.cmd", "going down") == FailureActions(0, (), "C:\\x.cmd", "going down")


def test_trailing_none_is_a_step_of_its_own() -> None:
    restart = Action("restart", 60000)
    assert render(FailureActions(0, (restart,))) != render(FailureActions(0, (restart, Action("none", 0))))


def test_the_count_is_trusted_no_further_than_the_bytes_go() -> None:
    whole = render(FailureActions(60, (Action("restart", 1), Action("reboot", 2))))
    assert parse(whole[:-3]).actions == (Action("restart", 1),)


@pytest.mark.parametrize("size", [0, 4, 19])
def test_less_than_a_header_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least 20"):
        parse(bytes(size))


@pytest.mark.parametrize(
    "failure",
    [
        FailureActions(0, (Action("explode", 0),)),
        FailureActions(0, (Action("restart", -1),)),
        FailureActions(2**32 - 1, ()),
        FailureActions(0, (Action("type 99999999999", 0),)),
    ],
)
def test_what_has_no_number_is_not_printed(failure: FailureActions) -> None:
    with pytest.raises(ValueError, match="expected"):
        render(failure)


_KINDS = st.sampled_from(["none", "restart", "reboot", "run_command", "own_restart", "type 7"])
_FAILURES = st.builds(
    FailureActions,
    reset_seconds=st.none() | st.integers(0, 2**32 - 2),
    actions=st.lists(st.builds(Action, _KINDS, st.integers(0, 2**32 - 1)), max_size=5).map(tuple),
)


@settings(max_examples=100)
@given(_FAILURES)
def test_any_failure_actions_survive_printing_and_reading(failure: FailureActions) -> None:
    assert parse(render(failure)) == failure


def test_every_real_value_is_read_and_printed_to_the_same_meaning() -> None:
    for (path,) in [shared("services/failure-actions.tsv")]:
        for blob, _ in rows(path):
            failure = parse(bytes.fromhex(blob))
            assert parse(render(failure)) == failure
            assert not any(kind.startswith("type") for kind, _ in failure.actions)


def test_every_service_of_the_hives_has_readable_failure_actions() -> None:
    for path in shared("services/*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            value = json.loads(line)["values"].get("FailureActions")
            assert value is None or len(parse(bytes.fromhex(value[1])).actions) <= 10
