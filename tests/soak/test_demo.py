"""The demo on databases that cannot be mirrored whole: what fails is shown, and the rest is mirrored all the same."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from google.cloud import bigquery

from cli.following import TableOfRun
from local import comparison, demo
from local.cloud import PROJECT, Cloud
from local.comparison import SHARDS, VIEWS, Check
from local.postgres import Postgres
from local.source import Source

# The local cloud looks at its dead letters without waiting, which is what the flag is for.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning"),
]

TROUBLED = (
    "CREATE TABLE good (id int)",
    "INSERT INTO good VALUES (1), (2)",
    "CREATE TABLE huge (v text)",
    "INSERT INTO huge VALUES (repeat('0123456789', 11000000))",
    "CREATE TABLE bare ()",
    "CREATE TABLE secret (id int)",
    "CREATE ROLE reader LOGIN",
    "GRANT SELECT ON good, huge, bare TO reader",
    "CREATE TABLE odd ()",
)
ONE = [bigquery.SchemaField("id", "INT64")]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


def fill(server: Postgres, database: str, *statements: str) -> None:
    server.create(database)
    with closing(server.connect(database)) as connection:
        for statement in statements:
            connection.run(statement)


def shown(output: str) -> dict[str, str]:
    """What the demo's last table says of each table."""
    lines = output.rpartition("the view names\n")[2].partition("\n\n")[0].splitlines()
    return {name: said.strip() for name, _, said in (line.strip().partition(" ") for line in lines)}


def test_what_anybody_refuses_is_shown_in_their_words_beside_what_was_mirrored(
    server: Postgres, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(server, "troubled", *TROUBLED)

    code = demo.demo(f"postgresql://reader@{server.host}/troubled", tmp_path / "work", exclude=["public.o*"])

    output = capfd.readouterr().out
    said = shown(output)
    assert code == 1
    assert set(said) == {"public.good", "public.huge", "public.bare", "public.secret"}
    assert said["public.good"].split()[:3] == ["2", "2", "2"]
    assert "Row is larger than 100 MB" in said["public.huge"]
    assert "has no columns" in said["public.bare"]
    assert "permission denied for table secret" in said["public.secret"]
    asked = [line for line in output.splitlines() if line.startswith("$ ")]
    assert asked == ["$ mirror plan demo", "$ mirror request demo --follow", "$ mirror status demo"]
    assert "The run is over: " in output
    assert "EXCLUDE='public.o* public.bare public.huge public.secret'" in output
    assert "what is to be granted goes to reader" in output
    assert "All tables agree but 3, which failed, after " in output
    assert not {"bigquery", "environment", "settings.json"} & {file.name for file in (tmp_path / "work").iterdir()}


def test_a_database_of_which_no_table_can_be_mirrored_is_shown_as_such(
    server: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(server, "bare", "CREATE TABLE bare ()")

    code = demo.demo(f"postgresql://{server.user}@{server.host}/bare", tmp_path / "work")

    output = capsys.readouterr().out
    said = shown(output)
    assert (code, set(said)) == (1, {"public.bare"})
    assert '"ca_file": "off"' in output
    assert "has no columns" in said["public.bare"]


def test_the_folder_of_a_demo_that_is_up_is_left_to_it(tmp_path: Path) -> None:
    kept = tmp_path / "work" / "bigquery"
    kept.parent.mkdir()
    kept.touch()

    with (tmp_path / "work.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="a demo is up already"):
            demo.demo(None, kept.parent)

    assert kept.exists()


def test_a_table_with_partitions_counts_as_one(server: Postgres) -> None:
    parts = "CREATE TABLE day PARTITION OF days FOR VALUES FROM (1) TO (9)"
    fill(server, "parted", "CREATE TABLE days (id int) PARTITION BY RANGE (id)", parts, "CREATE TABLE other (id int)")

    settings = {"user": server.user, "host": server.host, "schemas": ["public"]}
    assert Source("parted", settings, server.connect).tables() == ["public.days", "public.other"]


def test_rows_are_those_of_partitions_and_not_of_tables_that_inherit(server: Postgres) -> None:
    fill(
        server,
        "heirs",
        "CREATE TABLE parent (id int)",
        "CREATE TABLE child () INHERITS (parent)",
        "INSERT INTO child VALUES (1)",
        'CREATE SCHEMA "my schema"',
        'CREATE TABLE "my schema"."days" (id int) PARTITION BY RANGE (id)',
        'CREATE TABLE "my schema".day PARTITION OF "my schema"."days" FOR VALUES FROM (1) TO (9)',
        'INSERT INTO "my schema"."days" VALUES (1), (2)',
    )
    heirs = Source("heirs", {}, server.connect)

    assert (heirs.rows("public", "parent"), heirs.rows("public", "child")) == (0, 1)
    assert heirs.rows("my schema", "days") == 2


@pytest.fixture(scope="module")
def database(server: Postgres) -> Source:
    fill(server, "compared", "CREATE TABLE t (id int)", "CREATE TABLE there (id int)")
    return Source("compared", {"user": server.user, "host": server.host, "schemas": ["public"]}, server.connect)


@pytest.fixture(scope="module")
def cloud(database: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A demo's cloud on which nothing has been mirrored."""
    with demo.cloud_of(database, tmp_path_factory.mktemp("cloud"), by_beam=False) as running:
        yield running


@pytest.fixture(name="compare")
def comparing(cloud: Cloud, database: Source) -> Callable[[str], Check]:
    return lambda name: comparison.compare(cloud, database, TableOfRun("public", name, name))


def shard(client: bigquery.Client, table: str) -> str:
    name = f"{PROJECT}.{SHARDS}.{table}_20260115"
    client.create_table(bigquery.Table(name, ONE))
    return name


def view(client: bigquery.Client, table: str, query: str) -> None:
    made = bigquery.Table(f"{PROJECT}.{VIEWS}.{table}")
    made.view_query = query
    client.create_table(made)


def test_a_table_that_is_alike_everywhere_agrees(cloud: Cloud, compare: Callable[[str], Check]) -> None:
    with cloud.warehouse() as client:
        view(client, "there", f"SELECT * FROM `{shard(client, 'there')}`")

    assert compare("there").agrees


def test_a_table_without_a_view_fails_in_bigquerys_words(compare: Callable[[str], Check]) -> None:
    assert compare("nowhere").failure == f"Not found: Table {PROJECT}:{VIEWS}.nowhere"


def test_a_table_without_a_shard_fails(cloud: Cloud, compare: Callable[[str], Check]) -> None:
    with cloud.warehouse() as client:
        view(client, "unloaded", "SELECT 1 AS id")

    assert compare("unloaded").failure == "it has no shard"


def test_a_view_that_cannot_be_read_fails_its_table_in_bigquerys_words(
    cloud: Cloud, compare: Callable[[str], Check]
) -> None:
    with cloud.warehouse() as client:
        client.create_table(bigquery.Table(f"{PROJECT}.{SHARDS}.gone", ONE))
        view(client, "t", f"SELECT * FROM `{PROJECT}.{SHARDS}.gone`")
        client.delete_table(f"{PROJECT}.{SHARDS}.gone")
        shard(client, "t")

    assert compare("t").failure == f"Not found: Table {PROJECT}:{SHARDS}.gone"


def test_a_table_that_has_left_the_source_fails_in_postgresqls_words(
    cloud: Cloud, compare: Callable[[str], Check]
) -> None:
    with cloud.warehouse() as client:
        view(client, "left", f"SELECT * FROM `{shard(client, 'left')}`")

    assert compare("left").failure == 'relation "public.left" does not exist'
