"""The database that a demo mirrors: the flights in a PostgreSQL of ours, or the user's database at an address."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pg8000.native
from pg8000.native import identifier, literal

from local import flights
from local.cloudsql.csv_export import Connect
from local.postgres import Postgres
from shared.pipelines import OFF

INSTANCE = "demo-project:europe-west1:demo-db"


@dataclass(frozen=True)
class Source:
    """
    A database to mirror.

    `settings` are the pipeline's settings for it. `connect` is how the local Cloud SQL connects to it. If `ours`, its
    rows may be changed.
    """

    database: str
    settings: dict[str, Any]
    connect: Connect = field(repr=False)
    ours: bool = False

    def tables(self) -> tuple[list[str], int]:
        """The tables that could be mirrored, as schema.table, and how many bytes they take at the source."""
        with closing(self.connect(self.database)) as connection:
            names = ", ".join(literal(schema) for schema in self.settings["schemas"])
            rows = connection.run(
                "SELECT n.nspname || '.' || c.relname, c.relispartition, pg_total_relation_size(c.oid) "
                "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                f"WHERE c.relkind IN ('r', 'p') AND n.nspname IN ({names}) ORDER BY 1"
            )
            return [name for name, is_partition, _ in rows if not is_partition], sum(int(size) for *_, size in rows)

    def rows(self, schema: str, table: str) -> int:
        """How many rows a table has now."""
        with closing(self.connect(self.database)) as connection:
            (row,) = connection.run(f"SELECT count(*) FROM {identifier(schema)}.{identifier(table)}")
            return int(row[0])

    def let_a_day_pass(self) -> None:
        """Change rows as a day at the source would. Only for a database that is `ours`."""
        with closing(self.connect(self.database)) as connection:
            flights.change(connection)


@contextmanager
def our_own() -> Iterator[Source]:
    """The flights of 2013 in a PostgreSQL that runs while the context is open."""
    with Postgres() as server:
        with closing(server.connect()) as connection:
            flights.fill(connection)
            connection.run("ANALYZE")  # as a server does by itself after a while: then the sizes are known
        settings = {"user": server.user, "host": server.host, "schemas": ["public"]}
        yield Source("postgres", settings, server.connect, ours=True)


@contextmanager
def at(address: str, work: Path) -> Iterator[Source]:
    """
    The user's database at `postgresql://user@host:port/database`. It is only read, and its server is not checked.

    The password is in PGPASSWORD or in the address. Raises ValueError if the address has another form, and the driver's
    error if it cannot connect.
    """
    parts = urlsplit(address)
    if (
        parts.scheme not in ("postgresql", "postgres")
        or not parts.hostname
        or not parts.username
        or len(parts.path) < 2
    ):
        raise ValueError(
            f"SOURCE must be of the form postgresql://user@host:port/database, not {_without_password(address)}"
        )
    password = os.environ.get("PGPASSWORD") or (unquote(parts.password) if parts.password else None)
    user, host, port = unquote(parts.username), parts.hostname, parts.port or 5432
    database = unquote(parts.path[1:])

    def connect(name: str) -> pg8000.native.Connection:
        connection = pg8000.native.Connection(user, host=host, port=port, database=name, password=password)
        connection.run("SET default_transaction_read_only = on")
        return connection

    with closing(connect(database)) as connection:
        schemas = _schemas(connection)
    settings: dict[str, Any] = {"user": user, "host": f"{host}:{port}", "ca_file": OFF, "schemas": schemas}
    secret = work / "password"
    if password:
        settings["password_file"] = str(secret)
        _write_secret(secret, password)
    try:
        yield Source(database, settings, connect)
    finally:
        secret.unlink(missing_ok=True)


def _schemas(connection: pg8000.native.Connection) -> Sequence[str]:
    """The schemas that have tables, `public` before the others."""
    found = connection.run(
        "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
    )
    names = [str(name) for (name,) in found]
    return sorted(names, key=lambda name: (name != "public", name)) or ["public"]


def _write_secret(path: Path, password: str) -> None:
    path.touch(mode=0o600)
    path.write_text(password, encoding="utf-8")


def _without_password(address: str) -> str:
    password = urlsplit(address).password
    return address.replace(f":{password}@", ":…@") if password else address
