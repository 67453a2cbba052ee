"""The database that a demo mirrors: the flights in a PostgreSQL of ours, or the user's database at an address."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import pg8000.exceptions
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

    def tables(self) -> list[str]:
        """The tables that could be mirrored, as schema.table."""
        with closing(self.connect(self.database)) as connection:
            names = ", ".join(literal(schema) for schema in self.settings["schemas"])
            rows = connection.run(
                "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition "
                f"AND n.nspname IN ({names}) ORDER BY 1"
            )
            return [str(name) for (name,) in rows]

    def rows(self, schema: str, table: str) -> int:
        """How many rows a table has now, without those of tables that inherit from it."""
        with closing(self.connect(self.database)) as connection:
            has_parts = connection.run(
                "SELECT FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid "
                f"WHERE c.relname = {literal(table)} AND c.relnamespace = to_regnamespace({literal(identifier(schema))})"
            )
            rows = f"{'' if has_parts else 'ONLY '}{identifier(schema)}.{identifier(table)}"
            (row,) = connection.run(f"SELECT count(*) FROM {rows}")
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

    The password is in the address, or in PGPASSWORD. Raises ValueError if the address has another form or nobody answers there,
    and the driver's error if the server refuses.
    """
    parts = _parts(address)
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD")
    user, host, port = unquote(parts.username or ""), parts.hostname or "", parts.port or 5432
    database = unquote(parts.path[1:])

    def connect(name: str) -> pg8000.native.Connection:
        connection = pg8000.native.Connection(
            user,
            host=host,
            port=port,
            database=name,
            password=password or "",  # a server that asks for one refuses an empty one in its own words
            startup_params={"client_encoding": "UTF8"},  # as Cloud SQL's files are
        )
        connection.run("SET default_transaction_read_only = on")
        return connection

    try:
        with closing(connect(database)) as connection:
            schemas = _schemas(connection)
    except pg8000.exceptions.InterfaceError as error:
        raise ValueError(f"SOURCE: nobody answers at {host}:{port}: {error.__cause__ or error}") from error
    except pg8000.exceptions.DatabaseError as error:
        if password or not str(error.args[0].get("C")).startswith("28"):
            raise
        raise ValueError(f"SOURCE: {error.args[0]['M']}: PGPASSWORD is not set") from error
    settings: dict[str, Any] = {"user": user, "host": f"{host}:{port}", "ca_file": OFF, "schemas": schemas}
    secret = work / "password"
    if password:
        settings["password_file"] = str(secret)
        _write_secret(secret, password)
    try:
        yield Source(database, settings, connect)
    finally:
        secret.unlink(missing_ok=True)


def _parts(address: str) -> SplitResult:
    """The parts of an address. Raises ValueError, which does not tell the password, if it has another form."""
    said = re.sub(r"(//[^:@]*):.*@", r"\1:…@", address)
    form = f"SOURCE must be of the form postgresql://user@host:port/database, not {said}"
    try:
        parts = urlsplit(address)
        is_whole = (
            parts.hostname and parts.username and len(parts.path) > 1 and "@" not in parts.path and parts.port != 0
        )
    except ValueError as error:
        raise ValueError(f"{form}: the host or the port is none, or a password is not percent-encoded") from error
    if not is_whole or parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(f"{form}. In a password, write %2F for a slash, %23 for #, %3F for ? and %40 for @")
    if parts.query or parts.fragment:
        raise ValueError(f"{form}: it takes no parameters. TLS is used if the server offers it")
    return parts


def _schemas(connection: pg8000.native.Connection) -> Sequence[str]:
    """The schemas that have tables, `public` before the others."""
    found = connection.run(
        "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_' ORDER BY 1"
    )
    names = [str(name) for (name,) in found]
    return sorted(names, key=lambda name: (name != "public", name)) or ["public"]


def _write_secret(path: Path, password: str) -> None:
    path.touch(mode=0o600)
    path.write_text(password, encoding="utf-8")
