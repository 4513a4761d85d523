"""productState of Windows Security Center: the numbers that are seen in the field, and none that nobody has described."""

from __future__ import annotations

import pytest

from opdeploy.formats.security_center import Product, parse

# Seen of real products: Stack Overflow 4700897 (10,000 machines), neophob.com (2010), Idera (2020).
SEEN = {
    397568: Product("on", True),
    397584: Product("on", True),  # its signatures are old
    393472: Product("off", True),
    266240: Product("on", False),
    266256: Product("on", False),
    262144: Product("off", False),
    270336: Product("snoozed", False),
    331776: Product("on", False),
}


@pytest.mark.parametrize(("number", "product"), SEEN.items())
def test_numbers_of_the_field(number: int, product: Product) -> None:
    assert parse(number) == product


@pytest.mark.parametrize("number", [344064, 0x041200])
def test_bits_that_nobody_describes_are_no_state(number: int) -> None:
    with pytest.raises(ValueError, match=f"productState {number:#08x}"):
        parse(number)
