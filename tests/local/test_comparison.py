"""What a demo says that it has shown."""

import pytest

from local.comparison import Check, verdict

GOOD, FAILED = Check("orders", 7, 7, 7, "orders_20261122", "orders_20261122"), Check("orders", failure="denied")
BAD = Check("orders", 7, 6, 6, "orders_20261122", "orders_20261122")


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ([GOOD, GOOD], "All tables agree"),
        ([GOOD, BAD, FAILED], "NOT ALL TABLES AGREE"),
        ([GOOD, FAILED], "All tables agree but 1, which failed,"),
        ([FAILED, FAILED], "NO TABLE WAS MIRRORED"),
    ],
)
def test_a_verdict_tells_tables_that_differ_from_those_that_failed(checks: list[Check], said: str) -> None:
    assert verdict(checks) == said
