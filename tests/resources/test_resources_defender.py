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


def said(*values: Any, products: Any = NO_SECURITY_CENTER) -> str:
    """'' active, 'unknown', or why not."""
    row = {name: value for name, value in zip(NAMES, values, strict=True) if value != NONE}
    answered = {defender.READS["status"].key: [row], defender.READS["products"].key: products}
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
        (("Not running", False, False), "Defender is not active here (AMRunningMode: Not running)"),
        (("Normal", True, False), "Defender is not active here (AntivirusEnabled: False)"),
        ((NONE, False, False), "Defender is not active here (AMServiceEnabled: False)"),
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


@pytest.mark.parametrize("products", [Failure("Access denied", id="HRESULT 0x80041003,…"), [{"productState": 344064}]])
def test_its_own_word_that_it_is_not_active_is_enough(products: Any) -> None:
    assert said("Not running", False, False, products=products) == "Defender is not active here (AMRunningMode: Not running)"
    assert said("Normal", True, True, products=products) == "unknown"


def test_no_row_at_all_is_unknown() -> None:
    answered = {defender.READS["status"].key: [], defender.READS["products"].key: []}
    with pytest.raises(Unknown, match="answered nothing"):
        defender.standing_back(Answers(defender.READS, answered))


@given(st.sampled_from([NONE, "Passive Mode", "Not running", "Sonstwie"]), st.booleans(), st.booleans())
@settings(max_examples=50)
def test_only_one_word_makes_it_active(mode: str, service: bool, antivirus: bool) -> None:
    assert said(mode, service, antivirus)
