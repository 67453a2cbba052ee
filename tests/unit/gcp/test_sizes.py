"""What the files of tables say of them, where the server has counted no pages, whatever its version is."""

from collections.abc import Iterator
from contextlib import closing

import pg8000.native
import pytest

from local.postgres import Postgres
from shared.errors import Denied
from shared.gcp.postgres import Postgres as Source
from shared.pipelines import Pipeline
from shared.tables import Table

LONG = "SELECT n, repeat('x', 3000) FROM generate_series(1, 1000) AS n"


@pytest.fixture(scope="module", params=["newest", "11"])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    programs = request.getfixturevalue("programs_11") if request.param == "11" else None
    with Postgres(programs=programs) as server:
        yield server


@pytest.fixture
def database(server: Postgres, request: pytest.FixtureRequest) -> Iterator[pg8000.native.Connection]:
    """A connection as superuser to a database of the test's own, of its name, whose lister owns nothing."""
    name = request.node.originalname
    server.create(name)
    with closing(server.connect(name)) as connection:
        connection.run("DO $$ BEGIN CREATE ROLE mirror LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        connection.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO mirror")
        yield connection


def tables(server: Postgres, request: pytest.FixtureRequest, small_tables: str = "snapshot") -> dict[str, Table]:
    pipeline = Pipeline(
        *("p", "p:r:i", request.node.originalname, "mirror", "bucket", "shards", "views"),
        host=server.host,
        exclude=("public.excluded",),
        small_tables=small_tables,
    )
    return {table.name: table for table in Source().tables(pipeline)}


def test_a_size_is_of_all_parts(
    server: Postgres, database: pg8000.native.Connection, request: pytest.FixtureRequest
) -> None:
    for statement in (
        "CREATE TABLE fresh (id int, note text)",
        "CREATE TABLE analysed (id int, note text)",
        "CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id)",
        "CREATE TABLE counted PARTITION OF parted FOR VALUES FROM (1) TO (500)",
        "CREATE TABLE rest PARTITION OF parted FOR VALUES FROM (500) TO (5000) PARTITION BY RANGE (id)",
        "CREATE TABLE uncounted PARTITION OF rest FOR VALUES FROM (500) TO (5000)",
        "CREATE TABLE empty (id int)",
        "CREATE TABLE bare (id int) PARTITION BY LIST (id)",
        *(f"ALTER TABLE {name} ALTER note SET STORAGE EXTERNAL" for name in ("fresh", "analysed", "counted", "uncounted")),
        *(f"INSERT INTO {name} {LONG}" for name in ("fresh", "analysed", "parted")),
        "ANALYZE analysed",
        "VACUUM ANALYZE counted",
    ):  # fmt: skip
        database.run(statement)

    by_export, by_snapshot = tables(server, request, "export"), tables(server, request)

    assert by_export["fresh"].size is by_export["parted"].size is by_export["empty"].size is None
    assert (by_export["analysed"].size or 0) < 500_000  # its long values were not counted
    for name in ("fresh", "analysed"):
        [[size]] = database.run(f"SELECT pg_table_size('{name}')")
        assert by_snapshot[name].size == pytest.approx(size, rel=0.1)
    [[of_parts]] = database.run("SELECT pg_table_size('counted') + pg_table_size('uncounted')")
    assert by_snapshot["parted"].size == pytest.approx(of_parts, rel=0.1)
    assert (by_snapshot["empty"].size, by_snapshot["bare"].size) == (0, 0)


def test_only_what_may_be_read_by_snapshot_is_measured(
    server: Postgres, database: pg8000.native.Connection, request: pytest.FixtureRequest
) -> None:
    for name in ("excluded", "secret", "guarded", "plain"):
        database.run(f"CREATE TABLE {name} (id int)")
    database.run("REVOKE SELECT ON secret FROM mirror")
    database.run("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY")

    found = tables(server, request)

    assert {name: table.size for name, table in found.items()} == {
        "excluded": None,
        "secret": None,
        "guarded": None,
        "plain": 0,
    }
    assert {name for name, table in found.items() if not table.may_select} == {"secret"}


def test_a_user_who_may_not_measure_is_told_so(
    server: Postgres, database: pg8000.native.Connection, request: pytest.FixtureRequest
) -> None:
    database.run("CREATE TABLE plain (id int)")
    database.run("REVOKE EXECUTE ON FUNCTION pg_table_size FROM PUBLIC")

    with pytest.raises(Denied, match="pg_table_size"):
        tables(server, request)
