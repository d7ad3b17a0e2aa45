"""The set of keys: what was added is held, what was not is not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tallybook.logs.keys import Keys, KeySet

SOME = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=12)


def keys(values: list[int]) -> Keys:
    return np.array(sorted(set(values)), np.uint64)


@given(SOME, st.lists(SOME, max_size=10), SOME)
def test_it_holds_what_was_added_and_nothing_else(first: list[int], more: list[list[int]], asked: list[int]) -> None:
    held, known = KeySet(keys(first)), set(first)
    for values in more:
        news = keys([value for value in values if value not in known])
        held.add(news)
        known.update(values)
    questions = keys([*asked, *known])
    assert held.holds(questions).tolist() == [int(question) in known for question in questions]
    assert len(held) == len(known)


def test_a_million_keys_in_small_lots_stay_in_few_runs() -> None:
    held = KeySet(keys([]))
    for start in range(0, 1_000_000, 5_000):
        held.add(np.arange(start, start + 5_000, dtype=np.uint64) * np.uint64(7))
    assert len(held) == 1_000_000
    assert len(held._runs) <= 8
    assert held.holds(keys([7, 8, 7 * 999_999, 7 * 1_000_000])).tolist() == [True, False, True, False]
