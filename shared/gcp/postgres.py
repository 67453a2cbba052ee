"""The source database: its catalog, read in one query over a connection that is closed at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from pg8000.exceptions import DatabaseError

from shared import failures
from shared.gcp import catalog
from shared.pipelines import Pipeline
from shared.tables import Table

if TYPE_CHECKING:
    from pg8000.dbapi import Connection

_ANSWERED_WITHIN = 60
"""Seconds for the database to answer, the catalog of tens of thousands of tables included."""
_UTF8 = {"client_encoding": "UTF8"}
"""Asked for at the start: a server, a database or a role may say otherwise, even an encoding that Python does not know."""
_SESSION = (
    "SET search_path = ''",  # the names of types then depend on nothing, and nothing of a user's is called
    f"SET statement_timeout = '{_ANSWERED_WITHIN}s'",
    "SET quote_all_identifiers = off",  # else format_type() quotes the names of types
)


class Postgres:
    """The databases that the pipelines mirror."""

    def tables(self, pipeline: Pipeline) -> list[Table]:
        """
        All tables of the pipeline's schemas, with their columns, in one query.

        Raises Permanent if there is no such database or its server is too old, and Busy if it refuses to answer. If the
        database is down, the driver's own error is raised.
        """
        try:
            with _connected(pipeline) as connection:
                version = connection.parameter_statuses["server_version"]
                major = int("".join(takewhile(str.isdigit, version)))
                if major < failures.OLDEST_POSTGRES:
                    raise failures.of_old_postgres(pipeline, version)
                connection.autocommit = True
                cursor = connection.cursor()
                for setting in _SESSION:
                    cursor.execute(setting)
                return catalog.tables(connection, pipeline.schemas, major)
        except DatabaseError as error:
            code, words = catalog.field_of(error, "C"), catalog.field_of(error, "M")
            raise failures.of_postgres(pipeline, code, words) from error


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
        pipeline.user,
        password=password,
        database=pipeline.database,
        timeout=_ANSWERED_WITHIN,
        startup_params=dict(_UTF8),
        **place,
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
            startup_params=dict(_UTF8),
        )
        try:
            yield connection
        finally:
            connection.close()
