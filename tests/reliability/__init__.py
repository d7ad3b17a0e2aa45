"""What is done to a home on purpose that should never happen to it."""

import pytest

pytest.register_assert_rewrite(
    "reliability.stateful_checks", "reliability.stateful_ledger", "reliability.stateful_machine"
)
