"""Which shards a view's SQL names, of all tables."""

import pytest

from shared.refreshing import view_sql

NAMED = ["orders_20261122", "refunds_20261101"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM `p.d.orders_20261122` JOIN d.refunds_20261101 USING (id)",
        "SELECT orders_20261122.id FROM p.d.orders_20261122, `p`.`d`.`refunds_20261101`",
        "SELECT * FROM d . orders_20261122 UNION ALL SELECT * FROM d.refunds_20261101 -- d.others_20261101",
        "SELECT 'd.others_20261101' FROM d.orders_20261122, d.refunds_20261101, other.others_20261101, d.lookup",
    ],
)
def test_the_shards_of_all_tables_are_found(query: str) -> None:
    assert sorted(shard.name for shard in view_sql.shards(query, "p", "d")) == NAMED
