"""All of our SQL names the schema of what it calls, so that nothing on a search_path comes in its place."""

from contextlib import closing
from dataclasses import replace

import pytest

from local.postgres import Postgres
from shared.exporting import statement, typemap
from shared.gcp import catalog_sql
from shared.gcp.postgres import Postgres as Source
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from tests.support import unqualified
from tests.support.asked import export_of
from tests.support.samples import SAMPLES, SAMPLES_11
from tests.values.test_own_types import COLUMNS, TYPES

_TYPES = (*TYPES, "CREATE DOMAIN reals AS real[]", "CREATE DOMAIN digit AS real", "CREATE DOMAIN boxes AS box[]")
_WANTED = sorted({*SAMPLES, *COLUMNS, "reals", "digit", "boxes"})


@pytest.fixture(scope="module", name="exports")
def listed() -> list[TableExport]:
    """Of a table with a column of each type and one of its arrays, and of a partitioned one of the same."""
    names = [*_WANTED, *(f"{name}[]" for name in _WANTED if SAMPLES.get(name, "[]" not in name))]
    columns = ", ".join(f"c{number} {name}" for number, name in enumerate(names))
    with Postgres() as server:
        with closing(server.connect()) as connection:
            for each in _TYPES:
                connection.run(each)
            connection.run(f"CREATE TABLE t ({columns})")
            connection.run(f"CREATE TABLE p (id int, {columns}) PARTITION BY LIST (id)")
        pipeline = Pipeline("p", "p:r:i", "postgres", server.user, "bucket", "shards", "views", host=server.host)
        tables = Source().tables(pipeline)
    assert len(tables) == 2
    return [export_of(table, pipeline, "csv") for table in tables]


@pytest.mark.parametrize("trusts", [False, pytest.param(True, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "server_major", [None, *(pytest.param(each, marks=pytest.mark.soak) for each in (11, 12, 14, 18))]
)
@pytest.mark.parametrize("unrepresentable", ["null", "fail", "string"])
@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_an_export_calls_nothing_by_its_bare_name(
    exports: list[TableExport], file_format: str, unrepresentable: str, server_major: int | None, trusts: bool
) -> None:
    for export in exports:
        pipeline = replace(export.pipeline, unrepresentable=unrepresentable, trust_database=trusts)
        columns = typemap.mapped(export.columns, unrepresentable)
        asked = replace(export, pipeline=pipeline, format=file_format, server_major=server_major)
        query = statement.extraction(asked, columns).query
        hashed = replace(asked, columns=tuple(replace(column, hashed=True) for column in asked.columns))
        query_of_hashes = statement.extraction(hashed, typemap.mapped(hashed.columns, unrepresentable)).query

        assert unqualified.found(query_of_hashes, f"public.{export.table}") == []
        assert unqualified.found(query, f"public.{export.table}") == []


def test_types_that_are_gone_are_rendered_like_those_that_are_not_known(exports: list[TableExport]) -> None:
    columns = [replace(exports[0].columns[0], data_type=name) for name in SAMPLES_11.keys() - SAMPLES.keys()]
    export = replace(exports[0], columns=(*columns, exports[0].columns[1]))

    query = statement.extraction(export, typemap.mapped(export.columns, "null")).query

    assert unqualified.found(query, f"public.{export.table}") == []


@pytest.mark.parametrize(
    "query",
    [
        catalog_sql.TABLES,
        catalog_sql.OIDS,
        catalog_sql.SOME,
        catalog_sql.SOME_WITHOUT_COMMENTS,
        catalog_sql.MEASURED,
        catalog_sql.RAW_NAMES,
        catalog_sql.COLUMN_NUMBERS,
        catalog_sql.COMMENTED,
        catalog_sql.one_comment(1),
    ],
)
def test_a_query_of_the_catalog_calls_nothing_by_its_bare_name(query: str) -> None:
    assert unqualified.found(query.replace("%s", "$1")) == []


@pytest.mark.parametrize(
    "expression",
    [
        *("to_json(a)", "public.to_json(a)", "a = 1", "a OPERATOR(public.=) 1", "a || 'x'", "a::text", "a::public.text"),
        *("a::money", "a IN (1, 2)", "a IN (SELECT 1)", "a BETWEEN 1 AND 2", "a IS DISTINCT FROM 1", "nullif(a, 1)"),
        *("CASE a WHEN 1 THEN 2 END", "a LIKE 'x'", "a ILIKE 'x'", "a SIMILAR TO 'x'", "greatest(a, 1)", "-a", "(a, 1) = (1, 2)"),
        *("a = ANY (ARRAY[1])", "current_user", "a COLLATE \"C\"", "ARRAY[a]::x[]"),
        *("json_object('a': a)", "a IS JSON", "(SELECT b FROM u)", "a NOT IN (1)", "a > ALL (SELECT 1)"),
    ],
)  # fmt: skip
def test_whatever_is_looked_up_by_a_bare_name_is_found(expression: str) -> None:
    assert unqualified.found(f"SELECT {expression} FROM public.t", "public.t")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT FROM t",
        "SELECT FROM public.u",
        "SELECT FROM public.t TABLESAMPLE system (100)",
        "SELECT FROM public.t ORDER BY a USING <",
        "SELECT FROM public.t JOIN pg_catalog.pg_class USING (a)",
        "SELECT FROM public.t NATURAL JOIN pg_catalog.pg_class",
        "SELECT FROM generate_series(1, 2)",
    ],
)
def test_so_is_what_stands_elsewhere(query: str) -> None:
    assert unqualified.found(query, "public.t")


def test_one_bare_name_in_a_whole_export_is_found(exports: list[TableExport]) -> None:
    query = statement.extraction(exports[0], typemap.mapped(exports[0].columns, "null")).query

    for bare in ("pg_catalog.to_char", "OPERATOR(pg_catalog.>=)", "::pg_catalog.text", "TABLESAMPLE pg_catalog.system"):
        assert bare in query
        changed = query.replace(bare, bare.replace("pg_catalog.", "").replace("OPERATOR(>=)", ">="), 1)
        assert len(unqualified.found(changed, f"public.{exports[0].table}")) == 1
