"""Messages and their usage."""

from __future__ import annotations

from victor_dsl.values.message import Usage


def test_a_sum_of_costs_is_shown_without_the_dust_of_floats() -> None:
    usage = Usage(1, 1, 0.1) + Usage(1, 1, 0.2)
    assert usage.cost_usd != 0.3
    assert usage.cost_shown == 0.3
    assert Usage().cost_shown is None
