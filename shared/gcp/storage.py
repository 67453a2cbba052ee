"""Cloud Storage: the files and records of a pipeline in its bucket."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared import failures
from shared.bucket import File, Listed
from shared.errors import Busy, LostRace, Permanent, Told
from shared.failures import ApiError

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import storage
    from google.cloud.storage.fileio import BlobWriter

_NAMES, _LISTED = "items(name),nextPageToken", "items(name,timeCreated,metadata),nextPageToken"
_DATA = "application/octet-stream"
_SHORT = 2**20  # bytes of an upload that are kept before any is sent: rows are short, and to send takes a while
_PART = 8 * 2**20  # bytes, and so what a long upload keeps


class Storage:
    """The buckets that this project reaches, by a client made at first use."""

    def __init__(self, project: str) -> None:
        self._project = project

    def bucket(self, name: str) -> "Bucket":
        return Bucket(self._client.bucket(name))

    @cached_property
    def _client(self) -> "storage.Client":
        import google.cloud.storage as storage

        return storage.Client(project=self._project)


class _Missing(Told):  # a name without an object is an answer, too
    """Nor such a bucket, perhaps."""


class Bucket:
    """One bucket. A write or move has preconditions, as others write here too. `patience`: `timeout` and `retry` of reads."""

    def __init__(self, bucket: "storage.Bucket", patience: Mapping[str, object] = MappingProxyType({})) -> None:
        self._bucket = bucket
        self._patience = patience

    def read(self, name: str) -> tuple[bytes, int] | None:
        """The content of an object and its generation. None if there is none."""
        blob = self._bucket.blob(name)
        try:
            with self._translated(name):
                content: bytes = blob.download_as_bytes(**self._patience)
                if blob.generation is None:  # the answer's headers did not say
                    blob.reload(**self._patience)
        except _Missing:
            return None
        return content, int(blob.generation)

    def names(self, prefix: str) -> list[str]:
        """The names of all objects that begin so."""
        with self._translated(prefix):
            asked = {"prefix": prefix, "fields": _NAMES, **self._patience}
            return [blob.name for blob in self._bucket.client.list_blobs(self._bucket, **asked)]

    def listing(self, prefix: str) -> list[Listed]:
        """All objects whose names begin so."""
        with self._translated(prefix):
            blobs = self._bucket.client.list_blobs(self._bucket, prefix=prefix, fields=_LISTED, **self._patience)
            return [Listed(blob.name, blob.time_created, dict(blob.metadata or {})) for blob in blobs]

    def folders(self, prefix: str) -> list[str]:
        """The beginnings, up to the next slash and with it, of all names that begin so and have one. Each comes once."""
        with self._translated(prefix):
            asked = {"prefix": prefix, "delimiter": "/", "fields": "prefixes,nextPageToken", **self._patience}
            found = self._bucket.client.list_blobs(self._bucket, **asked)
            list(found.pages)  # it collects the folders as it reads the pages
            return sorted(found.prefixes)

    def stat(self, name: str) -> File | None:
        """An object. None if there is none."""
        blob = self._bucket.blob(name)
        try:
            with self._translated(name):
                blob.reload(**self._patience)
        except _Missing:
            return None
        return _file(blob)

    def write(self, name: str, content: bytes, onto: int, marks: Mapping[str, str] | None = None) -> None:
        """Write an object over its generation `onto` (0: there is none), with marks, which are custom metadata."""
        blob = self._bucket.blob(name)
        blob.metadata = dict(marks or {})
        try:
            with self._translated(name, {name: onto}):
                blob.upload_from_string(content, content_type="application/json", if_generation_match=onto)
        except _Missing as error:
            missing = f"there is no bucket {self._bucket.name}: create it, or correct the pipeline's bucket"
            raise Permanent(missing) from error

    def upload(self, name: str, marks: Mapping[str, str]) -> "Upload":
        """Begin an object that is not there yet, with marks, which are custom metadata."""
        blob = self._bucket.blob(name)
        blob.metadata = dict(marks)
        return Upload(blob, partial(self._translated, name, may_be_gone=True))

    def mark(self, name: str, marks: Mapping[str, str]) -> File | None:
        """Give an object marks, and look at it. None if there is none."""
        blob = self._bucket.blob(name)
        blob.metadata = dict(marks)
        try:
            with self._translated(name):
                blob.patch()
        except _Missing:
            return None
        return _file(blob)

    def move(self, file: File, name: str, onto: int, marks: Mapping[str, str]) -> File:
        """
        Give a file its marks, unless it has them, then its name, over that name's generation `onto` (0: none).

        The move is atomic and keeps the marks, which are custom metadata
        (https://cloud.google.com/storage/docs/json_api/v1/objects/move).
        """
        blob = self._bucket.blob(file.name)
        blob.metadata = dict(marks)
        try:
            with self._translated(name, {file.name: file.generation, name: onto}):
                if marks != file.marks:
                    blob.patch(if_generation_match=file.generation)
                moved = self._bucket.move_blob(
                    blob, name, if_generation_match=onto, if_source_generation_match=file.generation
                )
        except _Missing as error:
            raise LostRace(f"{file.name} has been moved or deleted") from error
        return replace(_file(moved), marks=marks)

    def delete(self, name: str, generation: int | None = None) -> None:
        """Delete an object, if it is there, and of that generation where one is given."""
        try:
            with self._translated(name, {} if generation is None else {name: generation}):
                self._bucket.blob(name).delete(if_generation_match=generation)
        except (_Missing, LostRace):
            return

    @contextmanager
    def _translated(
        self, name: str, condition: Mapping[str, int] = MappingProxyType({}), *, may_be_gone: bool = False
    ) -> Iterator[None]:
        """
        A call about an object, on the `condition` that objects have these generations (0: there is none).

        `may_be_gone`: what stood in its way may be gone since, so that another look says nothing.
        """
        from google.api_core import exceptions
        from google.auth.exceptions import TransportError
        from requests.exceptions import RequestException

        where = f"gs://{self._bucket.name}/{name}"
        try:
            yield
        except exceptions.NotFound as error:
            raise _Missing(f"{where} is not there, or its bucket") from error
        except exceptions.GoogleAPICallError as error:
            is_unmet = error.code == HTTPStatus.PRECONDITION_FAILED
            raced = is_unmet and (may_be_gone or not self._holds(condition))
            failure = failures.of_storage(_refusal(where, error), raced=raced)
            if failure is None:
                raise
            raise failure from error
        except (exceptions.RetryError, RequestException, TransportError, ConnectionError) as error:
            raise Busy(f"Cloud Storage cannot serve {where}: {type(error).__name__}") from error

    def _holds(self, condition: Mapping[str, int]) -> bool:
        found = {name: self.stat(name) for name in condition}
        return all((file.generation if file else 0) == condition[name] for name, file in found.items())


class Upload:
    """An object in the making. A short one is sent at once when it is finished, a longer one in parts."""

    def __init__(self, blob: "storage.Blob", translated: Callable[[], AbstractContextManager[None]]) -> None:
        self._blob = blob
        self._translated = translated
        self._kept = bytearray()
        self._parts: BlobWriter | None = None

    @property
    def is_long(self) -> bool:
        """Whether it is sent in parts."""
        return self._parts is not None

    def write(self, chunk: bytes) -> None:
        """Add to it. Beyond some size this sends a part."""
        self._kept += chunk
        if len(self._kept) > _SHORT:
            with self._translated(), _answered():
                self._send()

    def _send(self) -> None:
        if self._parts is None:
            # A part that was lost on its way is sent again, under the same condition.
            self._parts = self._blob.open("wb", chunk_size=_PART, content_type=_DATA, if_generation_match=0)
        kept, self._kept = self._kept, bytearray()
        for start in range(0, len(kept), _PART):
            self._parts.write(kept[start : start + _PART])

    def finish(self) -> File:
        """Have it there. Raises LostRace if an object of its name has come to be."""
        with self._translated(), _answered():
            if self._parts:
                self._send()
                self._parts.close()
                self._blob.reload()  # what a writer is answered it keeps to itself
            else:
                self._blob.upload_from_string(bytes(self._kept), content_type=_DATA, if_generation_match=0)
        return _file(self._blob)

    def abandon(self) -> None:
        """Let it never be there. A writer that is only forgotten, and not closed, makes an object of what it has."""
        if self._parts and not self._parts.closed:
            with suppress(Busy), self._translated():  # what is not cancelled expires
                self._parts.terminate()
            self._parts._buffer.close()  # noqa: SLF001 - where it could not be cancelled


@contextmanager
def _answered() -> Iterator[None]:
    """Have an answer to a part raised as other calls raise theirs."""
    from google.api_core.exceptions import from_http_response
    from google.cloud.storage.exceptions import InvalidResponse

    try:
        yield
    except InvalidResponse as error:
        raise from_http_response(error.response) from error


def _refusal(where: str, error: "GoogleAPICallError") -> ApiError:
    """What the service said: JSON, or plain text where a download was refused."""
    text = str(getattr(error.response, "text", "") or error.message)
    try:
        said = json.loads(text)["error"]
        reasons = {str(each.get("reason", "")) for each in said.get("errors", [])}
        return ApiError(where, error.code or 0, reasons, str(said["message"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiError(where, error.code or 0, (), text)


def _file(blob: "storage.Blob") -> File:
    return File(name=blob.name, generation=int(blob.generation), size=int(blob.size), marks=dict(blob.metadata or {}))
