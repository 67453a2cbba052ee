"""What of a catalog is no reason to distrust a table: the types and functions of extensions, written in C."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.postgres import Postgres
from shared.gcp.postgres import Postgres as Source
from shared.pipelines import Pipeline
from shared.tables import Table

_OF_EXTENSIONS = {
    "vector": (
        "CREATE EXTENSION vector",
        "CREATE TABLE t (id int, a vector(2), b vector[])",
        "CREATE INDEX ON t USING hnsw (a vector_l2_ops)",
    ),
    # As PostGIS has it: a type that is written by a function in C, and whose arrays are delimited by colons.
    "geometry": (
        "CREATE EXTENSION vector",
        "CREATE FUNCTION as_json(vector) RETURNS json LANGUAGE c IMMUTABLE STRICT AS '$libdir/vector', 'vector_out'",
        "CREATE CAST (vector AS json) WITH FUNCTION as_json(vector)",
        "CREATE TABLE t (id int, a vector, b vector[])",
        "CREATE INDEX ON t (vector_norm(a))",
    ),
}  # fmt: skip
_OF_EXTENSIONS_11 = {
    "citext": ("CREATE EXTENSION citext", "CREATE TABLE t (id int, a citext, b citext[])", "CREATE INDEX ON t (a)"),
    "hstore": ("CREATE EXTENSION hstore", "CREATE TABLE t (id int, a hstore, b hstore[])", "CREATE INDEX ON t USING gin (a)"),
    "ltree": ("CREATE EXTENSION ltree", "CREATE TABLE t (id int, a ltree, b ltree[])", "CREATE INDEX ON t ((a || 'x'::ltree))"),
}  # fmt: skip


def listed(server: Postgres, name: str, *statements: str) -> Table:
    server.create(name)
    with closing(server.connect(name)) as connection:
        for each in statements:
            connection.run(each)
    pipeline = Pipeline("p", "p:r:i", name, server.user, "bucket", "shards", "views", host=server.host)
    [table] = [found for found in Source().tables(pipeline) if found.name == "t"]
    return table


@pytest.fixture(scope="module", name="server")
def running() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module", name="server_11")
def running_11(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with Postgres(programs=request.getfixturevalue("programs_11")) as server:
        yield server


@pytest.mark.parametrize(("name", "elements"), [("vector", "text[]"), ("geometry", "record[]")])
def test_a_type_of_an_extension_is_no_reason(server: Postgres, name: str, elements: str) -> None:
    table = listed(server, name, *_OF_EXTENSIONS[name])

    assert table.called == ()
    assert [column.base_type for column in table.columns] == [None, None, elements]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "elements"), [("citext", "text[]"), ("hstore", "record[]"), ("ltree", "text[]")])
def test_types_that_only_the_oldest_server_here_has_are_none_either(
    server_11: Postgres, name: str, elements: str
) -> None:
    table = listed(server_11, name, *_OF_EXTENSIONS_11[name])

    assert table.called == ()
    assert [column.base_type for column in table.columns] == [None, None, elements]


def test_an_index_on_a_function_that_came_with_postgresql_is_none(server: Postgres) -> None:
    made = ("CREATE TABLE t (id int, a text)", "CREATE INDEX ON t (lower(a), (id + 1)) WHERE a LIKE 'x%'")

    assert listed(server, "built_in", *made).called == ()


def test_a_cast_that_our_sql_does_not_call_is_none(server: Postgres) -> None:
    made = (
        "CREATE TYPE mood AS ENUM ('sad')",
        "CREATE TYPE pair AS (mood mood)",
        "CREATE FUNCTION told(mood) RETURNS json LANGUAGE sql AS 'SELECT NULL::json'",
        "CREATE CAST (mood AS json) WITH FUNCTION told(mood)",
        "CREATE TABLE t (id int, a mood, b mood[], c pair)",
    )

    assert listed(server, "uncalled", *made).called == ()


@pytest.mark.parametrize("column", ["pair[]", "pairs", "nested[]", "of_domain[]", "with_array[]", "ranges[]"])
def test_a_cast_that_to_json_calls_is_found_however_deep_it_lies(server: Postgres, column: str) -> None:
    made = (
        "CREATE TYPE mood AS ENUM ('sad')",
        "CREATE TYPE pair AS (mood mood)",
        "CREATE DOMAIN pairs AS pair[]",
        "CREATE TYPE nested AS (pair pair)",
        "CREATE DOMAIN moody AS mood",
        "CREATE TYPE of_domain AS (moody moody)",
        "CREATE TYPE with_array AS (moods mood[])",
        "CREATE TYPE span AS RANGE (subtype = mood)",
        "CREATE TYPE ranges AS (span span)",
        *(f"CREATE FUNCTION told({of}) RETURNS json LANGUAGE sql AS 'SELECT NULL::json'" for of in ("mood", "span")),
        *(f"CREATE CAST ({of} AS json) WITH FUNCTION told({of})" for of in ("mood", "span")),
        f"CREATE TABLE t (id int, a {column})",
    )

    assert listed(server, f"deep_{column.strip('[]')}", *made).columns[1].calls == "the function public.told"
