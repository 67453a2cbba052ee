"""Which tables are read by snapshot, and in which one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.listing.snapshots import LARGEST_SNAPSHOT, LARGEST_TABLE, MOST_TABLES, numbers
from shared.tables import Table
from tests.support.billing import BILLING

PIPELINE = replace(BILLING, small_tables="snapshot")
SIZES = st.one_of(
    st.none(), st.integers(0, LARGEST_TABLE + 1), st.sampled_from([LARGEST_TABLE, LARGEST_TABLE + 1, 2**45])
)
TABLES = st.lists(st.tuples(SIZES, st.booleans(), st.booleans()), max_size=100)


def table(name: str = "orders", size: int | None = 8192, *, may_select: bool = True, rls: bool = False) -> Table:
    return Table("public", name, (), size=size, may_select=may_select, row_security=rls)


def test_a_small_table_is_read_by_snapshot_where_the_pipeline_asks_for_that() -> None:
    assert numbers([table()], PIPELINE) == {table(): 1}
    assert numbers([table()], BILLING) == {}


@pytest.mark.parametrize(
    ("size", "is_read"), [(0, True), (LARGEST_TABLE, True), (LARGEST_TABLE + 1, False), (None, False)]
)
def test_a_table_that_is_large_or_of_unknown_size_is_exported(size: int | None, is_read: bool) -> None:
    assert bool(numbers([table(size=size)], PIPELINE)) is is_read


def test_a_table_that_the_user_may_not_select_or_that_has_policies_is_exported() -> None:
    assert numbers([table(may_select=False), table(rls=True)], PIPELINE) == {}


def test_a_snapshot_has_so_many_tables_and_so_many_bytes() -> None:
    many = [table(f"t{number}", 1) for number in range(MOST_TABLES + 1)]
    heavy = [table(f"t{number}", LARGEST_TABLE) for number in range(LARGEST_SNAPSHOT // LARGEST_TABLE + 1)]

    for tables in (many, heavy):
        assert list(numbers(tables, PIPELINE).values()) == [1] * (len(tables) - 1) + [2]


@given(TABLES)
def test_each_table_has_one_way_and_no_snapshot_is_over_its_limits(
    given_tables: list[tuple[int | None, bool, bool]],
) -> None:
    tables = [
        table(f"t{number}", size, may_select=may_select, rls=rls)
        for number, (size, may_select, rls) in enumerate(given_tables)
    ]

    found = numbers(tables, PIPELINE)

    is_small = {each: each.size is not None and each.size <= LARGEST_TABLE for each in tables}
    assert found.keys() == {each for each in tables if is_small[each] and each.may_select and not each.row_security}
    assert sorted(set(found.values())) == list(range(1, len(set(found.values())) + 1))
    for number in set(found.values()):
        inside = [each.size or 0 for each, its in found.items() if its == number]
        assert len(inside) <= MOST_TABLES
        assert sum(inside) <= LARGEST_SNAPSHOT
