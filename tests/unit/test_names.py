"""What tables and columns are called in BigQuery."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import names

_IDENTIFIERS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
_ALIKE = st.text(alphabet="aA_2 ", min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("table", "table_id"),
    [
        ("orders", "orders"),
        ("Refund Log", "Refund_Log"),
        ("größe", "größe"),
        ("注文", "注文"),
        ("e\u0301tat", "e\u0301tat"),  # a mark, not composed with its letter
        ("year٢", "year٢"),  # a decimal digit of another script
        ("½ price", "__price"),  # a number, but no digit
        ("Ⅳ", "_"),
        ("a-b.c/d`e", "a_b_c_d_e"),
        ("🙂", "_"),
    ],
)
def test_a_table_id_keeps_letters_marks_and_digits(table: str, table_id: str) -> None:
    assert names.table_id("public", table, "public") == table_id


@pytest.mark.parametrize("first_schema", ["public", "archive"])
def test_a_table_outside_the_first_schema_is_prefixed_with_its_own(first_schema: str) -> None:
    assert names.table_id("big sales", "refunds", first_schema) == "big_sales__refunds"


@given(_IDENTIFIERS)
def test_a_table_id_has_one_allowed_character_for_each_of_the_name(name: str) -> None:
    table_id = names.table_id("public", name, "public")

    assert len(table_id) == len(name)
    assert all(kept == "_" or unicodedata.category(kept)[0] in "LMN" for kept in table_id)


def test_ids_of_more_than_one_table_are_found() -> None:
    assert names.shared_table_ids(["a_b", "c", "a_b", "A_b"]) == {"a_b"}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("id", "id"),
        ("unit price", "unit_price"),
        ("1st", "_1st"),
        ("٢nd", "_٢nd"),
        ("\u0301accent", "_\u0301accent"),
        ("$", "_"),
        ("_table_", "__table_"),
        ("_FILE_NAME", "__FILE_NAME"),
        ("_Partitions", "__Partitions"),
        ("_row_timestamp", "__row_timestamp"),
        ("__root__", "___root__"),
        ("_CoLidentifier", "__CoLidentifier"),
        ("_change_type", "__change_type"),
        ("_CHANGE_SEQUENCE_NUMBER", "__CHANGE_SEQUENCE_NUMBER"),
        ("_change_timestamp2", "__change_timestamp2"),
        ("$PARTITIONTIME", "__PARTITIONTIME"),  # reserved once the $ is gone
        ("partition", "partition"),
        ("_change", "_change"),
    ],
)
def test_a_column_name_is_one_that_bigquery_takes(source: str, name: str) -> None:
    assert names.column_names([source]) == [name]


def test_columns_that_would_meet_are_numbered_in_their_order() -> None:
    assert names.column_names(["a b", "a-b", "A_B"]) == ["a_b", "a_b_2", "A_B_3"]


@pytest.mark.parametrize(
    ("sources", "called"),
    [(["a", "A", "a_2", "A_3"], ["a", "A_4", "a_2", "A_3"]), (["a", "a_2", "A"], ["a", "a_2", "A_3"])],
)
def test_a_suffix_that_another_column_has_is_passed_over(sources: list[str], called: list[str]) -> None:
    assert names.column_names(sources) == called


@given(st.lists(_IDENTIFIERS | _ALIKE, unique=True, max_size=12))
def test_no_two_columns_meet_even_when_case_is_folded(sources: list[str]) -> None:
    called = names.column_names(sources)

    assert len({name.casefold() for name in called}) == len(sources)


@given(st.lists(_ALIKE, unique=True, max_size=12))
def test_the_first_column_of_a_name_keeps_it(sources: list[str]) -> None:
    called = names.column_names(sources)

    wanted = [names.column_names([source])[0] for source in sources]
    for place, name in enumerate(wanted):
        if name.casefold() not in {other.casefold() for other in wanted[:place]}:
            assert called[place] == name
