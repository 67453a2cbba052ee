"""What each PostgreSQL type becomes in BigQuery. How its values travel is in test_statement.py."""

import pytest

from shared.exporting import typemap
from shared.exporting.typemap import MappedColumn
from shared.tables import Column

EXCEEDING = [
    "date",
    "time without time zone",
    "timestamp(3) without time zone",
    "timestamp with time zone",
    "numeric(12,2)",
    "json",
    "jsonb",
]
HELD = ["integer", "double precision", "text", "numeric", "bytea", "interval", "integer[]", "money"]


def mapped(
    data_type: str,
    unrepresentable: str = "null",
    *,
    nullable: bool = True,
    comment: str | None = None,
    base_type: str | None = None,
) -> MappedColumn:
    column = Column("c", data_type, nullable, comment, base_type)
    (found,) = typemap.mapped([column], unrepresentable)
    return found


@pytest.mark.parametrize(
    ("data_type", "bigquery_type"),
    [
        ("smallint", "INT64"),
        ("integer", "INT64"),
        ("bigint", "INT64"),
        ("oid", "INT64"),
        ("real", "FLOAT64"),
        ("double precision", "FLOAT64"),
        ("boolean", "BOOL"),
        ("numeric(38,9)", "NUMERIC"),
        ("numeric(29,0)", "NUMERIC"),
        ("numeric(5,-2)", "NUMERIC"),
        ("numeric(3,5)", "NUMERIC"),
        ("numeric(30,0)", "BIGNUMERIC"),
        ("numeric(39,9)", "BIGNUMERIC"),
        ("numeric(10,10)", "BIGNUMERIC"),
        ("numeric(76,38)", "BIGNUMERIC"),
        ("numeric(77,38)", "STRING"),
        ("numeric(39,39)", "STRING"),
        ("numeric(1000,0)", "STRING"),
        ("numeric", "STRING"),
        ("money", "NUMERIC"),
        ("date", "DATE"),
        ("time without time zone", "TIME"),
        ("time(3) without time zone", "TIME"),
        ("timestamp without time zone", "DATETIME"),
        ("timestamp(0) without time zone", "DATETIME"),
        ("timestamp with time zone", "TIMESTAMP"),
        ("timestamp(6) with time zone", "TIMESTAMP"),
        ("time with time zone", "STRING"),
        ("time(3) with time zone", "STRING"),
        ("interval", "STRING"),
        ("interval day to second(3)", "STRING"),
        ("bytea", "BYTES"),
        ("json", "JSON"),
        ("jsonb", "JSON"),
        ("integer[]", "JSON"),
        ("numeric(12,2)[]", "JSON"),
        ("timestamp with time zone[]", "JSON"),
        ("text", "STRING"),
        ("character(5)", "STRING"),
        ("character varying(20)", "STRING"),
        ('"char"', "STRING"),
        ("uuid", "STRING"),
        ("inet", "STRING"),
        ("point", "STRING"),
        ("tsvector", "STRING"),
        ("daterange", "STRING"),
        ("bit(3)", "STRING"),
        ("geometry(Point,4326)", "STRING"),
        ("mood", "STRING"),
        ('"numeric(12,2)"', "STRING"),  # somebody's own type
        ("sales.date", "STRING"),
        ('"integer"', "STRING"),
    ],
)
def test_a_type_becomes_what_holds_its_values(data_type: str, bigquery_type: str) -> None:
    assert mapped(data_type).kind.bigquery_type == bigquery_type


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("unrepresentable", ["null", "fail", "string"])
@pytest.mark.parametrize("data_type", ["text", "date", "json", "integer[]"])
def test_a_column_that_is_hashed_is_a_string_and_says_so(data_type: str, unrepresentable: str, nullable: bool) -> None:
    [found] = typemap.mapped([Column("c", data_type, nullable, "of the user", hashed=True)], unrepresentable)

    assert (found.kind.bigquery_type, found.mode) == ("STRING", "NULLABLE" if nullable else "REQUIRED")
    assert found.description == f"of the user\nHashed: the SHA-256, in hexadecimal, of the text of {data_type}."


def test_a_domain_becomes_what_its_base_does() -> None:
    assert mapped("euros", base_type="numeric(12,2)").kind.bigquery_type == "NUMERIC"


@pytest.mark.parametrize("data_type", EXCEEDING)
def test_a_type_that_exceeds_bigquerys_is_text_where_the_pipeline_says_string(data_type: str) -> None:
    assert mapped(data_type, "string").kind.bigquery_type == "STRING"


@pytest.mark.parametrize("data_type", HELD)
def test_any_other_type_is_not_touched_by_that(data_type: str) -> None:
    assert mapped(data_type, "string") == mapped(data_type, "fail")


@pytest.mark.parametrize("unrepresentable", ["null", "fail", "string"])
def test_a_column_that_may_be_null_is_nullable(unrepresentable: str) -> None:
    assert mapped("date", unrepresentable, nullable=True).mode == "NULLABLE"


@pytest.mark.parametrize(
    ("unrepresentable", "mode"), [("null", "NULLABLE"), ("fail", "REQUIRED"), ("string", "REQUIRED")]
)
@pytest.mark.parametrize("data_type", EXCEEDING)
def test_a_column_that_is_never_null_is_required_unless_values_become_null(
    data_type: str, unrepresentable: str, mode: str
) -> None:
    assert mapped(data_type, unrepresentable, nullable=False).mode == mode


@pytest.mark.parametrize("data_type", HELD)
def test_a_column_whose_values_all_fit_is_required_where_it_is_never_null(data_type: str) -> None:
    assert mapped(data_type, nullable=False).mode == "REQUIRED"


def test_a_columns_comment_describes_it() -> None:
    assert mapped("integer", comment="of the order").description == "of the order"


def test_a_column_without_comment_has_no_description() -> None:
    assert mapped("integer").description is None


@pytest.mark.parametrize(
    ("unrepresentable", "description"),
    [
        ("null", "when\nValues of date that BigQuery cannot hold are NULL."),
        ("string", "when\ndate as text, because BigQuery cannot hold all of its values."),
        ("fail", "when"),
    ],
)
def test_a_description_says_what_becomes_of_values_that_do_not_fit(unrepresentable: str, description: str) -> None:
    assert mapped("date", unrepresentable, comment="when").description == description


def test_a_description_is_no_longer_than_bigquery_takes() -> None:
    assert len(mapped("date", comment="é" * 1024).description or "") == 1024


def test_columns_keep_their_order_and_get_their_names() -> None:
    columns = [Column(name, "text", nullable=True) for name in ("b", "B", "1 a")]

    assert [column.name for column in typemap.mapped(columns, "null")] == ["b", "B_2", "_1_a"]
