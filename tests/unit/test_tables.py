"""Shards and their names."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tables import Shard


@given(st.text(min_size=1), st.dates())
def test_a_shard_comes_back_from_its_name(table_id: str, day: date) -> None:
    shard = Shard(table_id, day)

    assert Shard.named(shard.name) == shard


def test_a_shard_is_named_for_its_table_and_day() -> None:
    assert Shard("orders", date(2026, 11, 22)).name == "orders_20261122"


def test_a_table_whose_own_name_ends_in_a_day_keeps_it() -> None:
    assert Shard.named("orders_20250101_20261122") == Shard("orders_20250101", date(2026, 11, 22))


@pytest.mark.parametrize(
    "name",
    [
        "orders",
        "orders_2026112",
        "orders_20261399",
        "orders20261122",
        "_20261122",
        "orders_\u0662\u0660\u0662\u06661122",
        "orders_20261122 ",
    ],
)
def test_a_name_that_ends_in_no_day_is_no_shards(name: str) -> None:
    assert Shard.named(name) is None
