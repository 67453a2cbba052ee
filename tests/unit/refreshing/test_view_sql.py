"""Which shards a view's SQL names, and the same SQL naming another."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.refreshing import view_sql
from shared.tables import Shard

OLD, NEW = Shard("orders", date(2026, 11, 21)), Shard("orders", date(2026, 11, 22))


def shards(query: str) -> list[Shard]:
    return [each.shard for each in view_sql.references(query, "my-project", "shards", "orders")]


def repointed(query: str) -> str:
    return view_sql.repointed(query, view_sql.references(query, "my-project", "shards", "orders"), NEW)


def test_a_view_begins_as_the_contract_says() -> None:
    assert view_sql.create("my-project", "shards", OLD) == "SELECT * FROM `my-project.shards.orders_20261121`"


@pytest.mark.parametrize(
    "path",
    [
        "`my-project.shards.orders_20261121`",
        "`my-project`.`shards`.`orders_20261121`",
        "`my-project`.shards.orders_20261121",
        "`my-project.shards`.orders_20261121",
        "my-project.shards.orders_20261121",
        "shards.orders_20261121",
        "`shards.orders_20261121`",
        "shards . orders_20261121",
        "shards\n  .`orders_20261121`",
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        "SELECT * FROM {}",
        "SELECT a FROM {} AS o",
        "(SELECT 1 FROM {})",
        "FROM {}--the newest",
        "FROM {}#x",
        "FROM {}/*x*/",
    ],
)
def test_a_shard_is_found_and_moved_however_its_path_is_written(path: str, around: str) -> None:
    query = around.format(path)

    assert shards(query) == [OLD]
    assert repointed(query) == around.format(path.replace("20261121", "20261122"))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 -- FROM shards.orders_20261121",
        "SELECT 1 # FROM shards.orders_20261121",
        "SELECT 1 /* FROM shards.orders_20261121\n */",
        "SELECT 'shards.orders_20261121'",
        'SELECT "shards.orders_20261121"',
        r"SELECT 'it\'s shards.orders_20261121'",
        "SELECT '''it's\nshards.orders_20261121'''",
        '''SELECT """a "shards.orders_20261121" b"""''',
        r"SELECT r'\' || shards.orders_20261121'",
        "SELECT rb'shards.orders_20261121', B'shards.orders_20261121'",
        "SELECT `a b`, '`shards.orders_20261121`'",
    ],
)
def test_comments_and_strings_name_no_shard(query: str) -> None:
    assert shards(query) == []


@pytest.mark.parametrize(
    "path",
    [
        "orders_20261121",
        "other.orders_20261121",
        "other-project.shards.orders_20261121",
        "`my-project.other.orders_20261121`",
        "my-project.shards.orders",
        "shards.orders_2026112",
        "shards.orders_20261399",
        "shards.orders_*",
        "shards.past_orders_20261121",
        "shards.Orders_20261121",
        "Shards.orders_20261121",
        "shards.orders_archive_20261121",
    ],
)
def test_another_path_names_no_shard_of_the_table(path: str) -> None:
    assert shards(f"SELECT * FROM {path}") == []


def test_strings_and_comments_end_where_they_end() -> None:
    query = "SELECT 'a', \"b\", `c`, '''d''' /* e */ -- f'\nFROM shards.orders_20261121 # '"

    assert shards(query) == [OLD]


def test_all_places_are_moved_and_nothing_else() -> None:
    query = (
        "-- the newest of shards.orders_20261121\n"
        "SELECT 'orders_20261121' AS o, * FROM shards.orders_20261121 JOIN `my-project.shards.orders_20261121` USING (id)\n"
        "JOIN shards.users_20261121 USING (user_id) -- orders_20261121"
    )

    assert repointed(query) == (
        "-- the newest of shards.orders_20261121\n"
        "SELECT 'orders_20261121' AS o, * FROM shards.orders_20261122 JOIN `my-project.shards.orders_20261122` USING (id)\n"
        "JOIN shards.users_20261121 USING (user_id) -- orders_20261121"
    )


def test_two_shards_of_the_table_are_both_told() -> None:
    assert shards("SELECT * FROM shards.orders_20261121 UNION ALL SELECT * FROM shards.orders_20261122") == [OLD, NEW]


def test_a_project_with_a_domain_is_a_project() -> None:
    query = "SELECT * FROM `example.com:proj.shards.orders_20261121`"

    assert [each.shard for each in view_sql.references(query, "example.com:proj", "shards", "orders")] == [OLD]


_TABLE_IDS = st.from_regex(r"[\w]{1,12}", fullmatch=True)
_STRINGS = st.text(st.characters(exclude_categories=["Cs"])).map(
    lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
)


@given(_TABLE_IDS, st.dates(), st.dates(), _STRINGS, _STRINGS)
def test_what_a_view_begins_with_can_be_moved(table_id: str, old: date, new: date, before: str, after: str) -> None:
    moved_from, moved_to = Shard(table_id, old), Shard(table_id, new)
    first = view_sql.create("my-project", "shards", moved_from)
    query = f"SELECT {before} AS a, t.* FROM ({first}) AS t WHERE b = {after}"

    places = view_sql.references(query, "my-project", "shards", table_id)

    then = view_sql.create("my-project", "shards", moved_to)
    assert [place.shard for place in places] == [moved_from]
    assert (
        view_sql.repointed(query, places, moved_to) == f"SELECT {before} AS a, t.* FROM ({then}) AS t WHERE b = {after}"
    )
