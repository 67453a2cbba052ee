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


def test_of_tables_that_meet_the_one_whose_name_needs_no_change_keeps_it() -> None:
    unchanged = table("a_b")

    chosen = selection.select([table("a b"), unchanged, ORDERS, table("a-b")], BILLING, None)

    assert tuple(chosen.tables) == (unchanged, ORDERS)
    assert [(refused.table.name, refused.keeps_id) for refused in chosen.refused] == [("a b", False), ("a-b", False)]


def test_a_reason_names_a_few_of_many() -> None:
    catalog = [table(f"a{character}b") for character in " !#$%&()*+,-/:;<=>?@"]

    chosen = selection.select(catalog, BILLING, None)

    assert len(chosen.refused) == 20
    assert all(refused.reason.count("public.") == 11 for refused in chosen.refused)
    assert all("and others would" in refused.reason for refused in chosen.refused)


def test_a_prefix_is_a_change() -> None:
    unchanged = table("sales__refunds")

    chosen = selection.select([REFUNDS, unchanged, ORDERS], BILLING, None)

    assert tuple(chosen.tables) == (unchanged, ORDERS)
    assert [(refused.table, refused.keeps_id) for refused in chosen.refused] == [(REFUNDS, False)]


def test_if_no_name_is_unchanged_all_are_refused_by_their_own_id() -> None:
    chosen = selection.select([REFUNDS, table("sales--refunds")], BILLING, None)

    assert not chosen.tables
    assert [refused.keeps_id for refused in chosen.refused] == [True, True]


def test_a_name_is_kept_too_where_the_request_does_not_name_its_table() -> None:
    chosen = selection.select([table("a b"), table("a_b")], BILLING, ["a b"])

    assert not chosen.tables
    assert [refused.keeps_id for refused in chosen.refused] == [False]


def test_in_a_dataset_without_case_no_name_is_kept_among_ids_that_differ_by_case() -> None:
    catalog = [table("a b"), table("a_b"), table("A_B")]

    chosen = selection.select(catalog, BILLING, None, lambda: True)

    assert not chosen.tables
    assert [refused.keeps_id for refused in chosen.refused] == [True, True, True]


def test_in_a_dataset_without_case_a_name_is_kept_from_one_that_needs_a_change() -> None:
    catalog = [table("a b"), table("a_b"), table("x"), table("X")]

    chosen = selection.select(catalog, BILLING, None, lambda: True)

    assert tuple(chosen.tables) == (catalog[1],)


@pytest.mark.parametrize(
    ("distrusted", "said"),
    [
        (replace(ORDERS, row_security=True), "public.orders has row-level security"),
        (replace(ORDERS, called=("the function public.f",)), "reading public.orders may call the function public.f"),
    ],
)
def test_a_table_that_runs_what_others_wrote_is_refused_unless_the_database_is_trusted(
    distrusted: Table, said: str
) -> None:
    chosen = selection.select([distrusted, REFUNDS], BILLING, None)
    trusting = selection.select([distrusted, REFUNDS], replace(BILLING, trust_database=True), None)

    [refused] = chosen.refused
    assert tuple(chosen.tables) == (REFUNDS,)
    assert refused.reason.startswith(said)
    assert '"trust_database": true' in refused.reason
    assert trusting.refused == ()


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


@pytest.mark.parametrize("name", ["_staging", "_runs", "-runs", "_plans"])
def test_a_table_that_would_be_called_like_a_folder_of_ours_is_refused(name: str) -> None:
    (refused,) = selection.select([table(name), ORDERS], BILLING, None).refused

    assert f"public.{name}" in refused.reason


def test_a_table_without_columns_is_refused() -> None:
    (refused,) = selection.select([Table("public", "empty", ()), ORDERS], BILLING, None).refused

    assert "public.empty has no columns" in refused.reason
