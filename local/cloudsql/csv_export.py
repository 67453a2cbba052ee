"""Does what a CSV export of Cloud SQL for PostgreSQL does: COPY the rows of a query to a new object."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import pg8000.native
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from pg8000.exceptions import Error as DatabaseTrouble
from requests import RequestException

from local.cloudsql.operations import OperationFailed
from local.rest import ApiError

Connect = Callable[[str], pg8000.native.Connection]
"""Opens a connection to a database, given its name."""

_CHUNK = 8 * 2**20  # bytes of an upload that are in memory at once


@dataclass(frozen=True)
class Export:
    """One export, as the request describes it."""

    database: str
    query: str
    quote: str
    escape: str
    delimiter: str
    bucket: str
    object: str

    @property
    def statement(self) -> str:
        """The COPY statement. That Cloud SQL runs such a one is an assumption."""
        options = {"QUOTE": self.quote, "ESCAPE": self.escape, "DELIMITER": self.delimiter}
        written = ", ".join(f"{name} {pg8000.native.literal(value)}" for name, value in options.items())
        return f"COPY ({self.query}) TO STDOUT WITH (FORMAT csv, {written})"


def read(context: Mapping[str, Any]) -> Export:
    """Read an export context. Raises ApiError: 400 if Cloud SQL would refuse it, 501 if it is not simulated."""
    if context.get("fileType") != "CSV":
        raise _not_simulated(f"fileType {context.get('fileType')}")
    databases, options = context.get("databases", []), context.get("csvExportOptions", {})
    if len(databases) != 1:
        raise _invalid("A CSV export of a PostgreSQL instance is of exactly one database")
    if "linesTerminatedBy" in options:
        raise _invalid("linesTerminatedBy is for MySQL instances only")
    if not options.get("selectQuery"):
        raise _invalid("csvExportOptions.selectQuery is missing")
    if "escapeCharacter" not in options:
        raise _not_simulated("an export without escapeCharacter, whose default is documented in two ways")
    bucket, name = _place(context.get("uri", ""))
    return Export(
        databases[0],
        options["selectQuery"],
        _character(options, "quoteCharacter", "22"),
        _character(options, "escapeCharacter", ""),
        _character(options, "fieldsTerminatedBy", "2C"),
        bucket,
        name,
    )


def _place(uri: str) -> tuple[str, str]:
    match = re.fullmatch(r"gs://([^/]+)/(.+)", uri, re.DOTALL)
    if match is None:
        raise _invalid(f'"{uri}" is not gs://bucketName/fileName')
    if uri.endswith(".gz"):
        raise _not_simulated("compression, which a name that ends in .gz asks for")
    return match[1], match[2]


def _character(options: Mapping[str, str], name: str, default: str) -> str:
    code = options.get(name, default)
    if not re.fullmatch(r"[0-7][0-9A-Fa-f]", code):
        raise _invalid(f'csvExportOptions.{name} "{code}" is not an ASCII character in hexadecimal')
    return chr(int(code, 16))


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid", f"Invalid request: {message}.")


def _not_simulated(what: str) -> ApiError:
    return ApiError(501, "notImplemented", f"The stand-in does not simulate {what}")


def copy(export: Export, connect: Connect, application: str, check: Callable[[], None], into: IO[bytes]) -> None:
    """
    Write the rows of the query to `into`. Raises OperationFailed with PostgreSQL's message.

    The session is named `application`, so that `terminate` finds it. `check` is called after that and before the COPY,
    and may raise to prevent it.
    """
    try:
        with closing(connect(export.database)) as connection:
            connection.run(f"SET application_name = {pg8000.native.literal(application)}")
            check()
            connection.run("START TRANSACTION READ ONLY")
            # Not run(), which would read the colon in `a[1:n]` as a placeholder.
            connection.execute_unnamed(export.statement, stream=into)
    except DatabaseTrouble as error:
        raise OperationFailed(_words(error)) from error


def _words(error: DatabaseTrouble) -> str:
    """PostgreSQL's error message, in the form in which its own programs print it."""
    fields = error.args[0]
    return f"{fields['S']}:  {fields['M']}" if isinstance(fields, dict) else str(fields)


def terminate(connect: Connect, application: str) -> None:
    """End the sessions with this application name. Does nothing if the server is gone."""
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
    with suppress(DatabaseTrouble), closing(connect("postgres")) as connection:
        connection.run(ending, name=application)


@contextmanager
def bucket(endpoint: str, name: str) -> Iterator[storage.Bucket]:
    """A bucket of Cloud Storage. Errors of its use are raised as OperationFailed."""
    nobody = AnonymousCredentials()
    client = storage.Client("-", nobody, client_options={"api_endpoint": endpoint})
    with closing(client):
        try:
            yield client.bucket(name)
        except (GoogleAPICallError, RequestException) as error:
            raise OperationFailed(str(error)) from error


def refuse_existing(export: Export, bucket: storage.Bucket) -> None:
    """Raise OperationFailed if the file exists. The operation fails, not the request, as the API's document says."""
    if bucket.blob(export.object).exists(retry=None):
        raise OperationFailed(f"The file gs://{export.bucket}/{export.object} already exists")


def upload(export: Export, bucket: storage.Bucket, content: IO[bytes]) -> None:
    """Upload the whole content to the export's object."""
    size = content.seek(0, os.SEEK_END)
    blob = bucket.blob(export.object, chunk_size=_CHUNK)
    blob.upload_from_file(content, rewind=True, size=size, if_generation_match=0, retry=None)
