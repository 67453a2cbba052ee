"""Which tables a request means."""

from dataclasses import replace

import pytest

from shared import catalog
from shared.catalog import Column, Table
from shared.errors import Permanent
from shared.pipelines import Pipeline

BILLING = Pipeline(
    "billing", "p:r:db", "billing", "mirror@p.iam", "p-mirror", "shards", "views", schemas=("public", "sales")
)
ID = Column("id", "bigint", nullable=False)


def table(name: str, schema: str = "public") -> Table:
    return Table(schema, name, (ID,))


ORDERS, REFUNDS, DOTTED = table("orders"), table("refunds", "sales"), table("a.b", "sales")


def test_a_request_without_names_means_all_that_the_pipeline_mirrors() -> None:
    found = [ORDERS, REFUNDS, table("users", "private")]

    selection = catalog.select(found, BILLING, None)

    assert (selection.tables, selection.refusals) == ((ORDERS, REFUNDS), ())


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
    assert catalog.select([ORDERS, REFUNDS, DOTTED], BILLING, requested).tables == selected


def test_all_names_that_are_not_mirrored_are_refused_together() -> None:
    pipeline = replace(BILLING, exclude=("public.tmp",))

    with pytest.raises(Permanent, match=r"billing mirrors no table public\.ordres, public\.tmp, public\.Orders:"):
        catalog.select([ORDERS, table("tmp")], pipeline, ["ordres", "orders", "tmp", "Orders"])


@pytest.mark.parametrize("requested", [None, ["orders"]])
def test_an_empty_database_is_an_error_that_says_where_to_look(requested: list[str] | None) -> None:
    with pytest.raises(Permanent, match=r"database billing has no table .*schemas \(public, sales\).*mirror@p\.iam"):
        catalog.select([], BILLING, requested)


def test_a_database_whose_tables_are_all_excluded_is_an_empty_one() -> None:
    with pytest.raises(Permanent, match="has no table"):
        catalog.select([table("users", "private")], BILLING, None)


def test_tables_that_would_meet_are_refused_by_name_and_the_rest_go_on() -> None:
    found = [table("a b"), table("a-b"), ORDERS]

    selection = catalog.select(found, BILLING, None)

    assert selection.tables == (ORDERS,)
    assert [(refusal.table, refusal.table_id) for refusal in selection.refusals] == [
        (found[0], "a_b"),
        (found[1], "a_b"),
    ]
    assert all("public.a b" in refusal.reason and "public.a-b" in refusal.reason for refusal in selection.refusals)


def test_a_table_meets_one_of_another_schema() -> None:
    selection = catalog.select([REFUNDS, table("sales__refunds"), ORDERS], BILLING, None)

    assert selection.tables == (ORDERS,)


def test_tables_that_differ_in_case_do_not_meet() -> None:
    selection = catalog.select([ORDERS, table("Orders")], BILLING, None)

    assert selection.refusals == ()


def test_a_table_meets_one_that_the_request_does_not_name() -> None:
    selection = catalog.select([table("a b"), table("a-b"), ORDERS], BILLING, ["a b", "orders"])

    assert selection.tables == (ORDERS,)
    assert [refusal.table.name for refusal in selection.refusals] == ["a b"]


def test_an_excluded_table_meets_none() -> None:
    pipeline = replace(BILLING, exclude=("public.a-b",))

    assert catalog.select([table("a b"), table("a-b")], pipeline, None).refusals == ()


@pytest.mark.parametrize("name", ["_staging", "_runs", "-runs"])
def test_a_table_that_would_be_called_like_a_folder_of_ours_is_refused(name: str) -> None:
    (refusal,) = catalog.select([table(name), ORDERS], BILLING, None).refusals

    assert f"public.{name}" in refusal.reason


def test_a_table_without_columns_is_refused() -> None:
    (refusal,) = catalog.select([Table("public", "empty", ()), ORDERS], BILLING, None).refusals

    assert "public.empty has no columns" in refusal.reason
