"""Whether Defender is active: every mode that Microsoft names, and what is no answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opdeploy.calls import Failure
from opdeploy.model import Unknown
from opdeploy.resources import defender
from opdeploy.resources.base import Answers

NO_SECURITY_CENTER = Failure("Invalid namespace ", id="HRESULT 0x8004100e,Microsoft.…GetCimInstanceCommand")
NONE = "no answer"  # the property is not there
NAMES = ("AMRunningMode", "AMServiceEnabled", "AntivirusEnabled")


TURNED_OFF = {"values": {"DisableAntiSpyware": ["DWord", 1]}, "subkeys": {}}
BY_POLICY = "; a policy turns it off (DisableAntiSpyware)"
DENIED = Failure("Access denied", id="HRESULT 0x80041003,…")


def said(*values: Any, products: Any = NO_SECURITY_CENTER, turned_off: Any = None) -> str:
    """'' active, 'unknown', or why not."""
    row = {name: value for name, value in zip(NAMES, values, strict=True) if value != NONE}
    told = {"status": [row], "products": products, "turned_off": turned_off}
    answered = {read.key: told[name] for name, read in defender.READS.items()}
    try:
        return defender.standing_back(Answers(defender.READS, answered))
    except Unknown:
        return "unknown"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("Normal", True, True), ""),
        (("Passive Mode", True, True), "Defender is not active here (AMRunningMode: Passive Mode)"),
        (("Passive", True, True), "Defender is not active here (AMRunningMode: Passive)"),
        (("SxS Passive Mode", True, True), "Defender is not active here (AMRunningMode: SxS Passive Mode)"),
        (("EDR Block Mode", True, True), "Defender is not active here (AMRunningMode: EDR Block Mode)"),
        (("Not running", False, False), "unknown"),
        (("Normal", True, False), "unknown"),
        ((NONE, False, False), "unknown"),
        ((NONE, True, True), "unknown"),
        (("", True, True), "unknown"),
        (("Normal", True, NONE), "unknown"),
        (("Normal", None, None), "unknown"),
        (("Normalement", True, True), "unknown"),
    ],
)
def test_what_the_status_comes_to(values: tuple[Any, ...], told: str) -> None:
    assert said(*values) == told


@pytest.mark.parametrize("product", [{}, {"displayName": "ESET Security"}, {"displayName": "X", "productState": None}])
def test_a_product_without_a_state_is_no_answer(product: dict[str, Any]) -> None:
    assert said("Normal", True, True, products=[product]) == "unknown"


@pytest.mark.parametrize("products", [DENIED, [{"productState": 344064}]])
def test_its_own_word_that_it_stands_back_is_enough(products: Any) -> None:
    assert said("Passive Mode", True, True, products=products) == "Defender is not active here (AMRunningMode: Passive Mode)"
    assert said("Not running", False, False, products=products) == "unknown"
    assert said("Normal", True, True, products=products) == "unknown"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (("Not running", False, False), "AMRunningMode: Not running"),
        (("Normal", True, False), "AntivirusEnabled: False"),
        ((NONE, False, False), "AMServiceEnabled: False"),
    ],
)
def test_that_it_is_off_counts_on_a_server_whose_policy_turns_it_off(values: tuple[Any, ...], why: str) -> None:
    assert said(*values, turned_off=TURNED_OFF) == f"Defender is not active here ({why}){BY_POLICY}"


@pytest.mark.parametrize(
    "turned_off", [{"values": {}, "subkeys": {}}, {"values": {"DisableAntiSpyware": ["DWord", 0]}}, DENIED]
)
def test_a_policy_that_does_not_turn_it_off_explains_nothing(turned_off: Any) -> None:
    assert said("Not running", False, False, turned_off=turned_off) == "unknown"


def test_a_policy_that_is_ignored_does_not_hide_a_defender_that_is_active() -> None:
    assert said("Normal", True, True, turned_off=TURNED_OFF) == ""


def test_on_a_workstation_only_a_product_that_is_on_explains_it() -> None:
    on, off = {"displayName": "X", "productState": 266240}, {"displayName": "X", "productState": 262144}
    assert said("Not running", False, False, products=[off], turned_off=TURNED_OFF) == "unknown"
    assert said("Not running", False, False, products=[on]) == (
        "Defender is not active here (AMRunningMode: Not running); X is on, Windows Security Center says"
    )


def test_no_row_at_all_is_unknown() -> None:
    answered = {defender.READS["status"].key: [], defender.READS["products"].key: []}
    with pytest.raises(Unknown, match="answered nothing"):
        defender.standing_back(Answers(defender.READS, answered))


@given(st.sampled_from([NONE, "Passive Mode", "Not running", "Sonstwie"]), st.booleans(), st.booleans())
@settings(max_examples=50)
def test_only_one_word_makes_it_active(mode: str, service: bool, antivirus: bool) -> None:
    assert said(mode, service, antivirus)
