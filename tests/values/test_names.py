"""What tables and columns are called when they have arrived, whatever they were called at the source."""

import pytest
from pg8000.native import identifier

from tests.support.mirrored import Mirror, Services

EITHER = pytest.mark.parametrize("file_format", ["csv", "ndjson"])
COLUMNS = {
    "plain": "plain",
    "MixedCase": "MixedCase",
    "mixedcase": "mixedcase_3",  # the next one has its own suffix
    "MIXEDCASE_2": "MIXEDCASE_2",
    "two words": "two_words",
    "two-words": "two_words_2",
    "select": "select",
    "Order": "Order",
    "t": "t",
    "settings": "settings",
    "ctid_": "ctid_",
    'say "hi"': "say__hi_",
    "it's": "it_s",
    "back\\slash": "back_slash",
    "1st": "_1st",
    "größe": "größe",
    "GRÖSSE": "GRÖSSE_2",  # folding makes one of ß and SS
    "名前": "名前",
    "e\u0301": "e\u0301",
    "\u0301e": "_\u0301e",
    "😀": "_",
    "_TABLE_x": "__TABLE_x",
    "_file_": "__file_",
    "_PARTITIONTIME": "__PARTITIONTIME",
    "_row_timestamp": "__row_timestamp",
    "__ROOT__": "___ROOT__",
    "_colidentifier_1": "__colidentifier_1",
    "_change_type": "__change_type",
    "a'; DROP TABLE t; --": "a___DROP_TABLE_t____",
    "{}": "__",
    ":name %s $1": "_name__s__1",
    "x" * 63: "x" * 63,
    "é" * 31 + "x": "é" * 31 + "x",
    "1" + "y" * 62: "_1" + "y" * 62,
    ".": "__2",
    "\n": "__3",
}


@EITHER
def test_columns_arrive_by_names_that_bigquery_takes(services: Services, file_format: str) -> None:
    with Mirror(services, format=file_format) as mirror:
        columns = ", ".join(f"{identifier(name)} int" for name in COLUMNS)
        mirror.run(f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES ({', '.join(map(str, range(len(COLUMNS))))})")

        mirror.mirror()

        assert mirror.rows("t") == [tuple(range(len(COLUMNS)))]
        described = {column["source_name"]: column["name"] for column in mirror.schema("t")["columns"]}
        assert list(described) == list(COLUMNS)
        assert [field.name for field in mirror.shard("t").schema] == list(described.values())
        folded = [name.casefold() for name in described.values()]
        assert len(set(folded)) == len(folded)
        assert {source: name for source, name in described.items() if name != COLUMNS[source]} == {}


TABLES = {
    ("public", "orders"): "orders",
    ("public", "Orders"): "Orders",
    ("public", "Refund Log"): "Refund_Log",
    ("public", "user"): "user",
    ("public", "events_20251231"): "events_20251231",
    ("public", "größe"): "größe",
    ("public", "a'; DROP TABLE orders; --"): "a___DROP_TABLE_orders____",
    ("public", 'say "hi"'): "say__hi_",
    ("public", "a.b"): "a_b",
    ("public", "x" * 63): "x" * 63,
    ("public", "é" * 31): "é" * 31,
    ("public", "1st"): "1st",
    ("public", "\\"): "_",
    ("Sales Dept", "orders"): "Sales_Dept__orders",
    ("Sales Dept", "größe"): "Sales_Dept__größe",
}


def test_tables_of_several_schemas_arrive_by_names_of_their_own(services: Services) -> None:
    with Mirror(services, schemas=("public", "Sales Dept")) as mirror:
        mirror.run('CREATE SCHEMA "Sales Dept"')
        for number, (schema, table) in enumerate(TABLES):
            name = f"{identifier(schema)}.{identifier(table)}"
            mirror.run(f"CREATE TABLE {name} (id int, v text)", f"INSERT INTO {name} VALUES ({number}, 'x')")

        mirror.mirror()

        assert mirror.views() == set(TABLES.values())
        assert {view: mirror.rows(view) for view in TABLES.values()} == {
            view: [(number, "x")] for number, view in enumerate(TABLES.values())
        }


def test_tables_that_would_meet_are_refused_by_name_and_the_others_go_on(
    mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.run('CREATE TABLE "a b" (id int)', 'CREATE TABLE "a-b" (id int)', "CREATE TABLE c (id int NOT NULL)")

    exports = mirror.listed()

    assert [export.table for export in exports] == ["c"]
    said = capsys.readouterr().out
    assert "public.a b would be called a_b in BigQuery, as public.a-b would" in said
    assert "public.a-b would be called a_b in BigQuery, as public.a b would" in said


def test_of_tables_that_meet_across_schemas_the_one_without_a_prefix_arrives(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mirror(services, schemas=("public", "s")) as mirror:
        mirror.run(
            "CREATE SCHEMA s", "CREATE TABLE s.x (id int)", "CREATE TABLE s__x (id int)", "CREATE TABLE y (id int)"
        )

        exports = mirror.listed()

    assert [export.table for export in exports] == ["s__x", "y"]
    assert "s.x would be called s__x" in capsys.readouterr().out


def test_a_table_and_another_ones_shard_do_not_meet(mirror: Mirror) -> None:
    """`events_20260115` is a table here, and a shard of `events` there."""
    mirror.run("CREATE TABLE events (id int NOT NULL)", "CREATE TABLE events_20260115 (id int NOT NULL)")
    mirror.run("INSERT INTO events VALUES (1)", "INSERT INTO events_20260115 VALUES (2)")

    mirror.mirror()

    assert mirror.views() == {"events", "events_20260115"}
    assert mirror.rows("events") == [(1,)]
    assert mirror.rows("events_20260115") == [(2,)]


def test_a_table_without_columns_is_refused_by_name(mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.run(
        "CREATE TABLE nothing ()",
        "CREATE TABLE dropped (a int)",
        "ALTER TABLE dropped DROP a",
        "CREATE TABLE c (id int)",
    )

    exports = mirror.listed()

    assert [export.table for export in exports] == ["c"]
    said = capsys.readouterr().out
    assert "public.nothing has no columns" in said
    assert "public.dropped has no columns" in said


@pytest.mark.soak
@EITHER
def test_a_table_of_1600_columns_arrives(services: Services, file_format: str) -> None:
    with Mirror(services, format=file_format) as mirror:
        columns = ", ".join(f"c{number} smallint" for number in range(1600))
        mirror.run(f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES ({', '.join(map(str, range(1600)))})")

        mirror.mirror()

        assert mirror.rows("t") == [tuple(range(1600))]


def test_a_column_that_was_dropped_is_not_missed(mirror: Mirror) -> None:
    mirror.run("CREATE TABLE t (a int, b text, c int)", "INSERT INTO t VALUES (1, 'x', 3)", "ALTER TABLE t DROP b")

    mirror.mirror()

    assert mirror.rows("t") == [(1, 3)]
