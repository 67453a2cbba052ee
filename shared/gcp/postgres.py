"""The source database: its catalog, read in one query over a connection that is closed at once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared import failures
from shared.pipelines import Pipeline
from shared.tables import Column, Table

if TYPE_CHECKING:
    from pg8000.dbapi import Connection

_ANSWERED_WITHIN = 60
"""Seconds for the database to answer, the catalog of tens of thousands of tables included."""

# Ordinary tables and partitioned parents, without partitions, temporary tables and what extensions own. A NOT NULL counts
# when it holds for all rows: PostgreSQL 18 can add one that is not validated. A domain's own NOT NULL does not count,
# because rows that are older than it may break it. A domain over a domain is followed to the type at the bottom, where
# alone a domain has modifiers.
_CATALOG = """
WITH RECURSIVE domains AS (
    SELECT oid AS domain, typbasetype AS base, typtypmod AS modifier
    FROM pg_catalog.pg_type WHERE typtype = 'd'
  UNION ALL
    SELECT domains.domain, below.typbasetype, below.typtypmod
    FROM domains JOIN pg_catalog.pg_type AS below ON below.oid = domains.base AND below.typtype = 'd'
), base_types AS (
    SELECT domains.domain, pg_catalog.format_type(domains.base, domains.modifier) AS name, base.typtype
    FROM domains JOIN pg_catalog.pg_type AS base ON base.oid = domains.base AND base.typtype <> 'd'
), columns AS (
    SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_array(
        a.attname,
        pg_catalog.format_type(a.atttypid, a.atttypmod),
        NOT a.attnotnull OR EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS c
            WHERE c.conrelid = a.attrelid AND c.contype = 'n' AND NOT c.convalidated AND c.conkey = ARRAY[a.attnum]),
        pg_catalog.left(d.description, 1024),
        CASE
            WHEN coalesce(elements.typtype, element.typtype) = 'c' THEN 'record[]'
            ELSE coalesce(base_types.name, elements.name || '[]') END) ORDER BY a.attnum) AS described
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS type ON type.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type AS element ON element.oid = type.typelem AND type.typcategory = 'A'
    LEFT JOIN base_types AS elements ON elements.domain = element.oid
    LEFT JOIN base_types ON base_types.domain = a.atttypid
    LEFT JOIN pg_catalog.pg_description AS d
        ON d.objoid = a.attrelid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    GROUP BY a.attrelid
)
SELECT n.nspname, t.relname, pg_catalog.left(d.description, 1024), columns.described::text,
    t.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = t.oid), t.relrowsecurity
FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
LEFT JOIN columns ON columns.attrelid = t.oid
LEFT JOIN pg_catalog.pg_description AS d
    ON d.objoid = t.oid AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0
WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND t.relpersistence <> 't'
  AND n.nspname = ANY (CAST(%s AS pg_catalog.text[]))
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS e
    WHERE e.objid = t.oid AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.deptype = 'e')
ORDER BY n.nspname, t.relname
"""


class Postgres:
    """The databases that the pipelines mirror."""

    def tables(self, pipeline: Pipeline) -> list[Table]:
        """
        All tables of the pipeline's schemas, with their columns, in one query.

        Raises Permanent if there is no such database, and Busy if it refuses to answer. Where the database is down,
        the driver's own error is raised.
        """
        import pg8000.exceptions

        try:
            with _connected(pipeline) as connection:
                cursor = connection.cursor()
                cursor.execute(f"SET statement_timeout = '{_ANSWERED_WITHIN}s'")
                cursor.execute("SET quote_all_identifiers = off")  # else format_type() quotes the names of types
                cursor.execute(_CATALOG, (list(pipeline.schemas),))
                rows = cursor.fetchall()
        except pg8000.exceptions.DatabaseError as error:
            raise failures.of_postgres(pipeline, _field(error, "C"), _field(error, "M")) from error
        return [_table(*row) for row in rows]


@contextmanager
def _connected(pipeline: Pipeline) -> "Iterator[Connection]":
    """A connection for a moment: through the Cloud SQL connector, or straight to the pipeline's host."""
    password = (
        Path(pipeline.password_file).read_text(encoding="utf-8").rstrip("\r\n") if pipeline.password_file else None
    )
    if pipeline.host:
        with _to_host(pipeline, pipeline.host, password) as connection:
            yield connection
    else:
        with _through_connector(pipeline, password) as connection:
            yield connection


@contextmanager
def _to_host(pipeline: Pipeline, host: str, password: str | None) -> "Iterator[Connection]":
    import pg8000.dbapi

    if host.startswith("/"):
        place: dict[str, object] = {"unix_sock": f"{host}/.s.PGSQL.5432", "ssl_context": False}
    else:
        name, _, port = host.rpartition(":")
        place = {"host": name.strip("[]"), "port": int(port)}  # TLS where the server offers it
    connection = pg8000.dbapi.connect(
        pipeline.user, password=password, database=pipeline.database, timeout=_ANSWERED_WITHIN, **place
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _through_connector(pipeline: Pipeline, password: str | None) -> "Iterator[Connection]":
    from google.cloud.sql.connector import Connector

    # "lazy": no refresh in the background. Cloud Run gives no processor time between events.
    with Connector(refresh_strategy="lazy", ip_type=pipeline.ip_type, enable_iam_auth=password is None) as connector:
        connection = connector.connect(
            pipeline.instance,
            "pg8000",
            user=pipeline.user,
            password=password,
            db=pipeline.database,
            timeout=_ANSWERED_WITHIN,
        )
        try:
            yield connection
        finally:
            connection.close()


def _table(schema: str, name: str, comment: str | None, described: str | None, *properties: bool) -> Table:
    columns = tuple(_column(*values) for values in json.loads(described or "[]"))
    has_children, row_security = properties
    return Table(schema, name, columns, comment, has_children, row_security)


@lru_cache(10_000)
def _column(name: str, data_type: str, nullable: bool, comment: str | None, base_type: str | None) -> Column:
    """A column. Equal ones are the same object, because the columns of thousands of tables are much alike."""
    return Column(name, data_type, nullable, comment, base_type)


def _field(error: Exception, name: str) -> str | None:
    """A field of the server's own error message: C its code, M its words."""
    fields = error.args[0] if error.args else None
    return fields.get(name) if isinstance(fields, dict) else None
