"""What the catalog of a database says, whatever its encoding, its search_path and its types are."""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pg8000.native
import pytest

from local.postgres import Postgres
from shared.errors import Permanent
from shared.gcp.postgres import Postgres as Source
from shared.pipelines import Pipeline
from shared.tables import Column, Table


@pytest.fixture(scope="module", name="server")
def running() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@contextmanager
def database(
    server: Postgres, name: str, options: str = "", encoding: str = "UTF8"
) -> Iterator[pg8000.native.Connection]:
    """A database of its own, and a connection to it."""
    with closing(server.connect()) as admin:
        admin.run(
            f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '{encoding}' {options}"
        )
    host, _, port = server.host.partition(":")
    utf8 = {"client_encoding": "UTF8"}
    with closing(
        pg8000.native.Connection(server.user, host, name, int(port), ssl_context=False, startup_params=utf8)
    ) as connection:
        yield connection


def tables(server: Postgres, name: str) -> dict[str, Table]:
    pipeline = Pipeline("p", "p:r:i", name, server.user, "bucket", "shards", "views", host=server.host)
    return {table.name: table for table in Source().tables(pipeline)}


def raw(statement: str) -> str:
    r"""A statement with bytes as `\xe4`, which the server takes without looking at them."""
    return f"DO $$ BEGIN EXECUTE E'{statement}'; END $$"


@pytest.mark.parametrize("whose", ["DATABASE latin", "ROLE postgres"])
def test_the_encoding_that_a_database_or_a_role_asks_for_does_not_matter(server: Postgres, whose: str) -> None:
    name = "latin" if "latin" in whose else "of_role"
    with database(server, name) as connection:
        connection.run("CREATE TABLE t (id int)")
        connection.run("COMMENT ON TABLE t IS '100 €'")
        connection.run(f"ALTER {whose} SET client_encoding = 'LATIN1'")
        try:
            found = tables(server, name)
        finally:
            connection.run(f"ALTER {whose} RESET client_encoding")

    assert found["t"].comment == "100 €"


@pytest.mark.parametrize(("encoding", "comment"), [("LATIN1", "Aufträge"), ("WIN1251", "Заказы"), ("EUC_TW", "訂單")])
def test_names_and_comments_of_another_encoding_arrive_as_they_are(
    server: Postgres, encoding: str, comment: str
) -> None:
    with database(server, encoding.lower(), encoding=encoding) as connection:
        connection.run("SET client_encoding = 'UTF8'")
        connection.run(f'CREATE TABLE "{comment}" ("{comment}" int)')
        connection.run(f"COMMENT ON TABLE \"{comment}\" IS '{comment}'")

        found = tables(server, encoding.lower())

    assert found[comment].comment == comment
    assert [column.name for column in found[comment].columns] == [comment]


def test_a_comment_without_utf8_costs_that_comment_alone(server: Postgres) -> None:
    with database(server, "commented", encoding="SQL_ASCII") as connection:
        connection.run("CREATE TABLE orders (id int, gone int, note text, price int)")
        connection.run("ALTER TABLE orders DROP COLUMN gone")
        connection.run(raw(r"COMMENT ON TABLE orders IS ''Auftr\xe4ge''"))
        connection.run(raw(r"COMMENT ON COLUMN orders.note IS ''Gr\xf6\xdfe''"))
        connection.run("COMMENT ON COLUMN orders.price IS 'in euros'")
        connection.run("CREATE TABLE refunds (id int)")
        connection.run("COMMENT ON TABLE refunds IS 'all of them'")

        found = tables(server, "commented")

    assert found["refunds"].comment == "all of them"
    assert found["orders"].comment is None
    assert {column.name: column.comment for column in found["orders"].columns} == {
        "id": None,
        "note": None,
        "price": "in euros",
    }


@pytest.mark.parametrize("statement", [r'CREATE TABLE "t\xe4" (id int)', r'CREATE TABLE t (id int, "c\xe4" int)'])
def test_a_name_without_utf8_costs_that_table_alone_which_says_so(server: Postgres, statement: str) -> None:
    name = f"named_{len(statement)}"
    with database(server, name, encoding="SQL_ASCII") as connection:
        connection.run(raw(statement))
        for number in range(20):
            connection.run(f"CREATE TABLE other_{number} (id int)")

        found = tables(server, name)

    [bad] = [table for table in found.values() if not table.name.startswith("other")]
    assert bad.fault
    assert bad.name in {"t", r"t\344"}
    assert len(found) == 21
    assert all(table.columns for table in found.values() if table is not bad)


def test_a_character_of_another_encoding_that_has_no_utf8_costs_its_comment_alone(server: Postgres) -> None:
    with database(server, "cyrillic", encoding="WIN1251") as connection:
        connection.run("CREATE TABLE t (id int)")
        connection.run("CREATE TABLE u (id int)")
        connection.run("COMMENT ON TABLE u IS 'all'")
        connection.run("SET client_encoding = 'WIN1251'")
        connection.run(raw(r"COMMENT ON TABLE t IS ''\x98''"))

        found = tables(server, "cyrillic")

    assert {table.name: table.comment for table in found.values()} == {"t": None, "u": "all"}


def test_types_are_known_by_their_names_whatever_the_search_path_is(server: Postgres) -> None:
    with database(server, "oracles") as connection:
        connection.run("CREATE SCHEMA oracle")
        connection.run("CREATE DOMAIN oracle.date AS timestamp(0)")
        for name in ("bytea", "oid", "money", "numeric"):
            connection.run(f"CREATE TYPE oracle.{name} AS ENUM ('a')")
        connection.run('ALTER DATABASE oracles SET search_path = oracle, "$user", public, pg_catalog')
        connection.run(
            "CREATE TABLE public.t (a pg_catalog.date, b pg_catalog.bytea, c pg_catalog.oid, d pg_catalog.money, "
            "e pg_catalog.numeric(5,2)[], f oracle.date, g oracle.bytea)"
        )

        found = tables(server, "oracles")

    assert [(column.data_type, column.base_type) for column in found["t"].columns] == [
        ("date", None),
        ("bytea", None),
        ("oid", None),
        ("money", None),
        ("numeric(5,2)[]", None),
        ("oracle.date", "timestamp(0) without time zone"),
        ("oracle.bytea", None),
    ]


CHAINS = [
    ("num", "numeric"),
    ("num[]", "numeric[]"),
    ("nums", "numeric[]"),
    ("nums[]", "record[]"),
    ("more", "numeric[]"),
    ("more[]", "record[]"),
    ("euros", "numeric(12,2)"),
    ("euros[]", "numeric(12,2)[]"),
    ("prices", "numeric(12,2)[]"),
    ("documents", "jsonb[]"),
    ("floats", "double precision[]"),
    ("pair[]", "record[]"),
    ("pairs", "record[]"),
    ("pairs[]", "record[]"),
    ("one", "public.pair"),
    ("one[]", "record[]"),
    ("pair", None),
    ("mood", None),
    ("mood[]", "text[]"),
    ("int2vector", None),
    ("oidvector", None),
    ("text[]", None),
]


@pytest.fixture(scope="module", name="types")
def of_types(server: Postgres) -> dict[str, Column]:
    """A column of each type, by the type."""
    made = (
        "CREATE DOMAIN num AS numeric",
        "CREATE DOMAIN nums AS num[]",
        "CREATE DOMAIN more AS nums",
        "CREATE DOMAIN euros AS numeric(12,2)",
        "CREATE DOMAIN prices AS euros[]",
        "CREATE DOMAIN documents AS jsonb[]",
        "CREATE DOMAIN floats AS float8[]",
        "CREATE TYPE pair AS (a int, b numeric)",
        "CREATE DOMAIN pairs AS pair[]",
        "CREATE DOMAIN one AS pair",
        "CREATE TYPE mood AS ENUM ('sad')",
    )
    wanted = [data_type for data_type, _ in CHAINS]
    with database(server, "types") as connection:
        for statement in made:
            connection.run(statement)
        connection.run(f"CREATE TABLE t ({', '.join(f'c{number} {each}' for number, each in enumerate(wanted))})")
        found = tables(server, "types")
    return dict(zip(wanted, found["t"].columns, strict=True))


@pytest.mark.parametrize(("data_type", "base_type"), CHAINS)
def test_a_chain_of_domains_and_arrays_is_followed_to_its_end(
    types: dict[str, Column], data_type: str, base_type: str | None
) -> None:
    assert types[data_type].base_type == base_type


def test_a_chain_of_thousands_of_domains_holds_up_no_listing(server: Postgres) -> None:
    """Whoever follows each to its end needs longer than a query may. What is longer than anybody needs is text."""
    with database(server, "chain") as connection:
        bases = ["int", *(f"d{number}" for number in range(5_000))]
        connection.execute_simple(";".join(f"CREATE DOMAIN d{number} AS {bases[number]}" for number in range(5_000)))
        connection.run("CREATE TABLE t (near d9, far d4999, many d4999[])")
        columns = tables(server, "chain")["t"].columns

    assert [column.base_type for column in columns] == ["integer", None, "text[]"]


def test_a_host_may_be_the_folder_of_a_socket(server: Postgres, tmp_path: Path) -> None:
    port = server.host.rpartition(":")[2]
    (tmp_path / ".s.PGSQL.5432").symlink_to(Path(server.socket_directory, f".s.PGSQL.{port}"))
    pipeline = Pipeline("p", "p:r:i", "postgres", server.user, "bucket", "shards", "views", host=str(tmp_path))

    assert Source().tables(pipeline) == []


def test_a_server_that_is_too_old_is_refused_by_its_version() -> None:
    with old_server("10.23") as port, pytest.raises(Permanent, match=r"PostgreSQL 10\.23.* supports 11 and later"):
        Source().tables(Pipeline("p", "p:r:i", "d", "u", "bucket", "shards", "views", host=f"127.0.0.1:{port}"))


@contextmanager
def old_server(version: str) -> Iterator[int]:
    """The port of a server that lets everybody in, says its version, and no more."""

    status = b"server_version\0" + version.encode() + b"\0"
    no_tls, ready = b"N", _message(b"R", bytes(4)) + _message(b"S", status) + _message(b"Z", b"I")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                for answer in (no_tls, ready):
                    client.recv(1_000)
                    client.sendall(answer)
                client.recv(1_000)  # the goodbye

        serving = Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1]
        serving.join()


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def test_a_size_is_of_the_table_with_its_long_values_and_is_not_known_before_it_was_estimated(server: Postgres) -> None:
    with database(server, "sizes") as connection:
        connection.run("CREATE TABLE filled (id int, note text)")
        connection.run("ALTER TABLE filled ALTER note SET STORAGE EXTERNAL")
        connection.run("INSERT INTO filled SELECT n, repeat('x', 10000) FROM generate_series(1, 100) AS n")
        connection.run("CREATE TABLE new (id int)")
        before = tables(server, "sizes")["filled"].size
        connection.run("VACUUM ANALYZE filled")
        [[pages]] = connection.run(
            "SELECT pg_relation_size('filled') + pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 'filled'"
        )

        found = tables(server, "sizes")

    assert before is None
    assert found["new"].size is None
    assert found["filled"].size == pages > 1_000_000


def test_the_size_of_a_partitioned_table_is_that_of_all_below_it(server: Postgres) -> None:
    with database(server, "parts") as connection:
        connection.run("CREATE TABLE whole (id int) PARTITION BY LIST (id)")
        connection.run("CREATE TABLE one PARTITION OF whole FOR VALUES IN (1)")
        connection.run("CREATE TABLE rest PARTITION OF whole DEFAULT PARTITION BY LIST (id)")
        connection.run("CREATE TABLE two PARTITION OF rest FOR VALUES IN (2)")
        connection.run("INSERT INTO whole SELECT 1 + n % 2 FROM generate_series(1, 1000) AS n")
        connection.run("ANALYZE one")
        half = tables(server, "parts")["whole"].size
        connection.run("ANALYZE two")
        [[both]] = connection.run("SELECT pg_relation_size('one') + pg_relation_size('two')")

        assert half is None
        assert tables(server, "parts")["whole"].size == both > 0


def test_a_table_that_somebody_locks_has_its_size_at_once(server: Postgres) -> None:
    with database(server, "locked") as connection:
        connection.run("CREATE TABLE t (id int)")
        connection.run("INSERT INTO t VALUES (1)")
        connection.run("ANALYZE t")
        connection.run("BEGIN")
        connection.run("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")

        assert tables(server, "locked")["t"].size == 8192


def test_a_primary_key_is_in_its_own_order(server: Postgres) -> None:
    with database(server, "keys") as connection:
        connection.run(
            'CREATE TABLE composite (id int, gone int, "Tenant" text, note text UNIQUE, PRIMARY KEY ("Tenant", id))'
        )
        connection.run("ALTER TABLE composite DROP COLUMN gone")
        connection.run("CREATE TABLE parted (id int, day date, PRIMARY KEY (day, id)) PARTITION BY LIST (day)")
        connection.run("CREATE TABLE keyless (id int UNIQUE NOT NULL)")
        connection.run("CREATE TABLE heir () INHERITS (composite)")

        found = tables(server, "keys")

    assert {name: table.primary_key for name, table in found.items()} == {
        "composite": ("Tenant", "id"),
        "parted": ("day", "id"),
        "keyless": (),
        "heir": (),
    }
