"""The source database: its catalog, read in one query over a connection that is closed at once."""

from collections.abc import Iterator, Set
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from pg8000.exceptions import DatabaseError

from shared import failures
from shared.failures import ApiError
from shared.gcp import catalog, sizes, tls
from shared.pipelines import OFF, Pipeline
from shared.tables import Table, TableName

if TYPE_CHECKING:
    from google.cloud.sql.connector import Connector
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
    """The databases that the pipelines mirror. `admin_endpoint`: another address of the Cloud SQL Admin API."""

    def __init__(self, admin_endpoint: str | None = None) -> None:
        self._admin_endpoint = admin_endpoint

    def tables(self, pipeline: Pipeline) -> list[Table]:
        """
        All tables of the pipeline's schemas, with their columns, in one query.

        Where small ones are read by snapshot, those that were never counted are measured in another, for some seconds at most.
        Raises Permanent if there is no such database or its server is too old, Denied if we are not let in, and Busy if it
        cannot answer now. If the database is down, the driver's own error is raised.
        """
        with self._session(pipeline) as (connection, major):
            found = catalog.tables(connection, pipeline.schemas, major)
            return sizes.measured(connection, found, pipeline)

    def tables_and_hidden(self, pipeline: Pipeline) -> tuple[list[Table], Set[TableName]]:
        """
        As `tables`, and those of them that the role may not read that Cloud SQL exports with, by one more query.

        Where that role is not there, nothing is known, and there are none.
        """
        with self._session(pipeline) as (connection, major):
            found = catalog.tables(connection, pipeline.schemas, major)
            hidden = catalog.hidden(connection, found)
            return sizes.measured(connection, found, pipeline), hidden

    @contextmanager
    def _session(self, pipeline: Pipeline) -> "Iterator[tuple[Connection, int]]":
        """A connection that the catalog can be read by, and the major version of its server."""
        with translated(pipeline), self._connected(pipeline) as connection:
            version = connection.parameter_statuses["server_version"]
            major = int("".join(takewhile(str.isdigit, version)))
            if major < failures.OLDEST_POSTGRES:
                raise failures.of_old_postgres(pipeline, version)
            connection.autocommit = True
            cursor = connection.cursor()
            for setting in _SESSION:
                cursor.execute(setting)
            yield connection, major

    @contextmanager
    def _connected(self, pipeline: Pipeline) -> "Iterator[Connection]":
        """A connection for a moment: through the Cloud SQL connector, or straight to the pipeline's host."""
        password = _password(pipeline, pipeline.password_file) if pipeline.password_file else None
        if pipeline.host:
            with closing(_to_host(pipeline, pipeline.host, password)) as connection:
                yield connection
        else:
            with (
                _connector(pipeline, self._admin_endpoint) as connector,
                closing(_through(connector, pipeline, password)) as connection,
            ):
                yield connection


@contextmanager
def translated(pipeline: Pipeline) -> Iterator[None]:
    """Have an error of the database raised as what it means for the message: Busy, Denied or Permanent."""
    try:
        yield
    except DatabaseError as error:
        code, words = catalog.field_of(error, "C"), catalog.field_of(error, "M")
        raise failures.of_postgres(pipeline, code, words or "") from error


def _password(pipeline: Pipeline, file: str) -> str:
    """What is in the file. Raises Denied where it is not there, and for anything else that is no password's file."""
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, UnicodeDecodeError) as error:
        why = (
            error.strerror if isinstance(error, OSError) else "it is no text"
        )  # the error itself would say a byte of it
        settings = "password_file, and the secret that is mounted there"
        raise failures.of_connection(pipeline, f"{file}: {why}", settings) from error


def _to_host(pipeline: Pipeline, host: str, password: str | None) -> "Connection":
    import pg8000.dbapi

    if host.startswith("/"):
        place: dict[str, object] = {"unix_sock": f"{host}/.s.PGSQL.5432", "ssl_context": False}
    else:
        name, _, port = host.rpartition(":")
        address = name.strip("[]"), int(port)
        if pipeline.ca_file in (None, OFF):
            place = dict(zip(("host", "port"), address, strict=True))  # TLS where the server offers it
        else:
            place = {"sock": tls.connected(pipeline, pipeline.ca_file, address, _ANSWERED_WITHIN), "ssl_context": False}
    return pg8000.dbapi.connect(
        pipeline.user,
        password=password or "",  # a server that asks for one refuses an empty one in its own words
        database=pipeline.database,
        timeout=_ANSWERED_WITHIN,
        startup_params=dict(_UTF8),
        **place,
    )


def _connector(pipeline: Pipeline, admin_endpoint: str | None) -> "Connector":
    from google.cloud.sql.connector import Connector

    return Connector(
        refresh_strategy="lazy",  # not in the background: Cloud Run gives no processor time between events
        ip_type=pipeline.ip_type,
        enable_iam_auth=pipeline.password_file is None,
        sqladmin_api_endpoint=admin_endpoint,
    )


def _through(connector: "Connector", pipeline: Pipeline, password: str | None) -> "Connection":
    """A connection by the connector, which asks the Admin API for the instance's address and for a certificate."""
    import aiohttp
    from google.cloud.sql.connector import exceptions

    try:
        return connector.connect(
            pipeline.instance,
            "pg8000",
            user=pipeline.user,
            password=password,
            db=pipeline.database,
            timeout=_ANSWERED_WITHIN,
            startup_params=dict(_UTF8),
        )
    except aiohttp.ClientResponseError as error:
        refused = ApiError(f"the way to {pipeline.instance}", error.status, (), error.message)
        raise failures.of_connector(refused) from error
    except (
        exceptions.AutoIAMAuthNotSupported,
        exceptions.CloudSQLIPTypeError,
        exceptions.IncompatibleDriverError,
        ValueError,  # another region
    ) as error:
        raise failures.of_connection(pipeline, str(error), "instance and ip_type") from error
