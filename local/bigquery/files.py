"""Reads the objects in Cloud Storage that a load names."""

import fnmatch
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from local.bigquery.errors import BigQueryError

_UPLOADED = "upload://"
_URI = re.compile(r"gs://([^/*]+)/([^*]+\*?[^*]*|\*[^*]*)")


class Files:
    """
    The objects of the Cloud Storage at the URL `endpoint`, and what has been uploaded with load jobs.

    `folder`: where copies of them lie while they are opened.
    """

    def __init__(self, project: str, endpoint: str, folder: Path) -> None:
        options = {"api_endpoint": endpoint}
        self._folder = folder
        self._uploaded: dict[str, bytes] = {}
        self._client = Client(project, credentials=AnonymousCredentials(), client_options=options)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def keep(self, content: bytes) -> str:
        """Keep the content of an upload, and give the URI that it is found by."""
        uri = f"{_UPLOADED}{len(self._uploaded)}-{uuid.uuid4().hex}"
        self._uploaded[uri] = content
        return uri

    def matching(self, uris: list[str]) -> list[str]:
        """The URIs, with each `*` expanded. Raises BigQueryError if one is invalid or its `*` matches nothing."""
        return [name for uri in uris for name in self._matching(uri)]

    @contextmanager
    def opened(self, uri: str) -> Iterator[Path]:
        """A local copy of an object, until the end. Raises BigQueryError if there is no such object."""
        with NamedTemporaryFile(dir=self._folder) as copy:
            if uri in self._uploaded:
                copy.write(self._uploaded[uri])
            else:
                self._download(uri, copy)
            copy.flush()
            yield Path(copy.name)

    def _download(self, uri: str, copy: IO[bytes]) -> None:
        bucket, name = _split(uri)
        try:
            self._client.bucket(bucket).blob(name).download_to_file(copy)
        except NotFound as error:
            raise _missing(uri) from error

    def _matching(self, uri: str) -> list[str]:
        if uri in self._uploaded:
            return [uri]
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
