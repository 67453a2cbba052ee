"""Which tables a request means."""

from dataclasses import replace

import pytest

from shared.errors import Permanent
from shared.listing import selection
from shared.pipelines import Pipeline
from shared.tables import Column, Table

BILLING = Pipeline(
    "billing", "p:r:db", "billing", "mirror@p.iam", "p-mirror", "shards", "views", schemas=("public", "sales")
)
ID = Column("id", "bigint", nullable=False)


def table(name: str, schema: str = "public") -> Table:
    return Table(schema, name, (ID,))


ORDERS, REFUNDS, DOTTED = table("orders"), table("refunds", "sales"), table("a.b", "sales")


def test_a_request_without_names_means_all_that_the_pipeline_mirrors() -> None:
    catalog = [ORDERS, REFUNDS, table("users", "private")]

    chosen = selection.select(catalog, BILLING, None)

    assert list(chosen.tables.items()) == [(ORDERS, "orders"), (REFUNDS, "sales__refunds")]
    assert chosen.refused == ()


@pytest.mark.parametrize(
    ("requested", "selected"),
    [
        (["orders"], (ORDERS,)),
        (["sales.refunds", "orders"], (REFUNDS, ORDERS)),
        (["sales.a.b"], (DOTTED,)),  # split at the first dot
        (["orders", "public.orders"], (ORDERS,)),
    ],
)
def test_a_request_names_tables(requested: list[str], selected: tuple[Table, ...]) -> None:
    assert tuple(selection.select([ORDERS, REFUNDS, DOTTED], BILLING, requested).tables) == selected


def test_all_names_that_are_not_mirrored_are_refused_together() -> None:
    pipeline = replace(BILLING, exclude=("public.tmp",))

    with pytest.raises(Permanent, match=r"billing mirrors no table ordres, tmp, Orders:"):
        selection.select([ORDERS, table("tmp")], pipeline, ["ordres", "orders", "tmp", "Orders"])


@pytest.mark.parametrize("requested", [None, ["orders"]])
def test_an_empty_database_is_an_error_that_says_where_to_look(requested: list[str] | None) -> None:
    with pytest.raises(Permanent, match=r"database billing has no table .*schemas \(public, sales\).*mirror@p\.iam"):
        selection.select([], BILLING, requested)


def test_a_database_whose_tables_are_all_excluded_is_an_empty_one() -> None:
    with pytest.raises(Permanent, match="has no table"):
        selection.select([table("users", "private")], BILLING, None)


def test_tables_that_would_meet_are_refused_by_name_and_the_rest_go_on() -> None:
    catalog = [table("a b"), table("a-b"), ORDERS]

    chosen = selection.select(catalog, BILLING, None)

    assert tuple(chosen.tables) == (ORDERS,)
    assert [(refused.table, refused.table_id) for refused in chosen.refused] == [
        (catalog[0], "a_b"),
        (catalog[1], "a_b"),
    ]
    assert all("public.a b" in refused.reason and "public.a-b" in refused.reason for refused in chosen.refused)


def test_a_table_meets_one_of_another_schema() -> None:
    chosen = selection.select([REFUNDS, table("sales__refunds"), ORDERS], BILLING, None)

    assert tuple(chosen.tables) == (ORDERS,)


def test_tables_that_differ_in_case_do_not_meet() -> None:
    chosen = selection.select([ORDERS, table("Orders")], BILLING, None)

    assert chosen.refused == ()


def test_a_table_meets_one_that_the_request_does_not_name() -> None:
    chosen = selection.select([table("a b"), table("a-b"), ORDERS], BILLING, ["a b", "orders"])

    assert tuple(chosen.tables) == (ORDERS,)
    assert [refused.table.name for refused in chosen.refused] == ["a b"]


def test_an_excluded_table_meets_none() -> None:
    pipeline = replace(BILLING, exclude=("public.a-b",))

    assert selection.select([table("a b"), table("a-b")], pipeline, None).refused == ()


@pytest.mark.parametrize("name", ["_staging", "_runs", "-runs"])
def test_a_table_that_would_be_called_like_a_folder_of_ours_is_refused(name: str) -> None:
    (refused,) = selection.select([table(name), ORDERS], BILLING, None).refused

    assert f"public.{name}" in refused.reason


def test_a_table_without_columns_is_refused() -> None:
    (refused,) = selection.select([Table("public", "empty", ()), ORDERS], BILLING, None).refused

    assert "public.empty has no columns" in refused.reason
