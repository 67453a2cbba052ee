"""Reads the objects in Cloud Storage that a load names."""

import fnmatch
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from local.bigquery.errors import BigQueryError

_URI = re.compile(r"gs://([^/*]+)/([^*]+\*?[^*]*|\*[^*]*)")


class Files:
    """The objects of the storage emulator at the URL `endpoint`."""

    def __init__(self, project: str, endpoint: str) -> None:
        options = {"api_endpoint": endpoint}
        self._client = Client(project, credentials=AnonymousCredentials(), client_options=options)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def matching(self, uris: list[str]) -> list[str]:
        """The URIs, with each `*` expanded. Raises BigQueryError if one is invalid or its `*` matches nothing."""
        return [name for uri in uris for name in self._matching(uri)]

    @contextmanager
    def opened(self, uri: str) -> Iterator[TextIO]:
        """
        A temporary local copy of an object, as UTF-8 text with its line ends unchanged.

        Raises BigQueryError if there is no such object.
        """
        bucket, name = _split(uri)
        with tempfile.TemporaryFile() as copy:
            try:
                self._client.bucket(bucket).blob(name).download_to_file(copy)
            except NotFound as error:
                raise _missing(uri) from error
            copy.seek(0)
            with io.TextIOWrapper(copy, "utf-8", newline="\n") as text:
                yield text

    def _matching(self, uri: str) -> list[str]:
        bucket, pattern = _split(uri)
        if "*" not in pattern:
            return [uri]
        escaped = pattern.replace("[", "[[]").replace("?", "[?]")
        try:
            blobs = [blob.name for blob in self._client.list_blobs(bucket, prefix=pattern.partition("*")[0])]
        except NotFound as error:
            raise _missing(uri) from error
        names = sorted(name for name in blobs if fnmatch.fnmatchcase(name, escaped))
        if not names:
            raise _missing(uri)
        return [f"gs://{bucket}/{name}" for name in names]


def _split(uri: str) -> tuple[str, str]:
    found = _URI.fullmatch(uri)
    if found is None:
        raise BigQueryError("invalid", f"Source URI must be a Google Cloud Storage location: {uri}")
    return found[1], found[2]


def _missing(uri: str) -> BigQueryError:
    return BigQueryError("notFound", f"Not found: URI {uri}", uri)
