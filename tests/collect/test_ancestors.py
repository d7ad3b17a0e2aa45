"""What stands above a request is known in later bodies too, however the trace is cut into them."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tallybook.collect.ancestors import Ancestors

CHAIN = {"request": "tool", "tool": "chain", "chain": "outer request", "outer request": "agent"}


def test_a_parent_in_the_same_body_is_found() -> None:
    assert Ancestors().climb(["request", "outer request"], CHAIN) == {"outer request"}


def test_a_parent_in_a_later_body_is_found_through_spans_that_came_between() -> None:
    ancestors = Ancestors()
    assert ancestors.climb(["request"], {"request": "tool"}) == set()
    assert ancestors.climb([], {"tool": "chain"}) == set()
    assert ancestors.climb([], {"chain": "outer request"}) == set()
    assert ancestors.climb(["outer request"], {"outer request": "agent"}) == {"outer request"}


def test_the_same_body_again_finds_the_same() -> None:
    ancestors = Ancestors()
    for _ in range(2):
        assert ancestors.climb(["request"], {"request": "outer request"}) == set()
        assert ancestors.climb(["outer request"], {"outer request": "agent"}) == {"outer request"}


def test_a_circle_and_a_span_that_is_its_own_parent_end() -> None:
    assert Ancestors().climb(["a"], {"a": "a"}) == set()
    assert Ancestors().climb(["a", "c"], {"a": "b", "b": "c", "c": "b"}) == {"c"}


def test_the_oldest_are_forgotten() -> None:
    ancestors = Ancestors(limit=2)
    for number in range(3):
        ancestors.climb([f"request {number}"], {f"request {number}": f"parent {number}"})
    assert ancestors.climb(["parent 0", "parent 1", "parent 2"], {}) == {"parent 1", "parent 2"}


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_of_a_chain_of_requests_that_comes_in_order_of_its_ends_only_the_innermost_counts(
    length: int, dice: Random
) -> None:
    ancestors, counted = Ancestors(), list[str]()
    left = [f"span {number}" for number in range(length)]
    while left:
        size = dice.randint(1, len(left))
        body, left = left[:size], left[size:]
        repeated = ancestors.climb(body, {key: f"span {int(key.split()[1]) + 1}" for key in body})
        counted += [key for key in body if key not in repeated]
    assert counted == ["span 0"]
