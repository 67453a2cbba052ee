"""Which table a request means by what it calls it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.listing.wanted import meant, meant_of_run, shown
from shared.tables import TableName

_NAMES = st.text('abA."', min_size=1, max_size=4) | st.text(min_size=1, max_size=4)
_TABLES = st.tuples(_NAMES, _NAMES)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("orders", ("public", "orders")),
        ("Orders", ("public", "Orders")),
        ("sales.refunds", ("sales", "refunds")),
        ("NextWare.Concierge.Users", ("NextWare.Concierge", "Users")),
        ("a.b.c", ("a", "b.c")),
        ("v1.orders", ("public", "v1.orders")),
        ('"orders"', ("public", "orders")),
        ('"v1.orders"', ("public", "v1.orders")),
        ('"a.b".c', ("a.b", "c")),
        ('a."b.c"', ("a", "b.c")),
        ('a.b."c"', ("a.b", "c")),
        ('"a.b"."c.d"', ("a.b", "c.d")),
        ('"say ""hi"""', ("public", 'say "hi"')),
        ('say "hi"', ("public", 'say "hi"')),
        ('sales.say "hi"', ("sales", 'say "hi"')),
        (".orders", ("public", ".orders")),
    ],
)
def test_a_text_means_the_one_table_that_it_can(text: str, name: TableName) -> None:
    assert meant(text, {name, ("public", "x"), ("orders", "orders")}, "public") == name


@pytest.mark.parametrize(
    "text", ["ORDERS", "public", "public.", ".orders", "public..orders", '"public.orders"', "", "."]
)
def test_a_text_that_can_be_no_table_means_none(text: str) -> None:
    assert meant(text, {("public", "orders")}, "public") is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.b.c", {("a", "b.c"), ("a.b", "c")}),
        ("a.b.c", {("a", "b.c"), ("public", "a.b.c")}),
        ("sales.refunds", {("sales", "refunds"), ("public", "sales.refunds")}),
    ],
)
def test_a_text_that_can_be_two_tables_is_refused_with_both(text: str, names: set[TableName]) -> None:
    with pytest.raises(Permanent) as refused:
        meant(text, names, "public")

    assert all(shown(name) in str(refused.value) for name in names)


@given(_TABLES, st.sets(_TABLES), _NAMES)
def test_a_quoted_name_is_never_another_tables(name: TableName, others: set[TableName], first_schema: str) -> None:
    assert meant(shown(name), {name, *others}, first_schema) == name


@given(_TABLES, st.sets(_TABLES), _NAMES)
def test_schema_and_table_apart_are_never_another_tables(
    name: TableName, others: set[TableName], first_schema: str
) -> None:
    assert meant(name, {name, *others}, first_schema) == meant_of_run(name, {name, *others}) == name
    assert meant(name, others - {name}, first_schema) is meant_of_run(name, others - {name}) is None


@given(_TABLES.filter(lambda name: '"' not in "".join(name)))
def test_a_name_without_quotation_marks_is_found_by_a_dot_between_its_parts(name: TableName) -> None:
    assert meant(".".join(name), {name}, "public") == name


@given(_TABLES)
def test_a_table_of_a_run_is_found_by_the_text_of_an_earlier_version(name: TableName) -> None:
    assert meant_of_run(".".join(name), {name, ("other", "table")}) == name


def test_the_text_of_an_earlier_version_that_can_be_two_tables_is_refused_with_both() -> None:
    with pytest.raises(Permanent, match=r'"a"\."b\.c" or "a\.b"\."c"'):
        meant_of_run("a.b.c", {("a", "b.c"), ("a.b", "c")})
