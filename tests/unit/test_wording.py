from __future__ import annotations

import pytest

from tallybook import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (9_999, "9,999"), (10_000, "10.0k"), (79_148, "79.1k"), (424_600, "425k"), (999_500, "1.00M")],
)
def test_numbers_beside_one_another_are_shortened_alike(value: int, text: str) -> None:
    assert wording.short(value) == text
