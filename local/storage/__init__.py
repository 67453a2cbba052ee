"""
Cloud Storage on one machine: `objects` and `buckets` of the JSON API.

Differences from the service: one version of each object, no soft delete, no access control, no batches, no encodings. A
method, a parameter or a field that is not simulated is refused with 501.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from threading import Lock
from typing import Any

from local.rest import Api, ApiError, Handler, Reply, Request
from local.server import Answer
from local.storage.buckets import WRITABLE, Bucket, Resource, Stored

_CHECKED = "ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch ifMetagenerationNotMatch"
_OF_ONE = f"generation {_CHECKED}"
_OF_TWO = f"{_CHECKED} {_CHECKED.replace('if', 'ifSource')}"
_ALWAYS = frozenset({"alt", "fields", "prettyPrint", "projection", "uploadType"})
_HONOURED = {
    "buckets.get": "",
    "buckets.insert": "project",
    "buckets.list": "project",
    "objects.copy": f"sourceGeneration {_OF_TWO}",
    "objects.delete": _OF_ONE,
    "objects.get": _OF_ONE,
    "objects.insert": f"name {_CHECKED}",
    "objects.list": "prefix delimiter matchGlob pageToken maxResults",
    "objects.move": _OF_TWO,
    "objects.patch": _OF_ONE,
    "objects.rewrite": f"sourceGeneration {_OF_TWO}",
}
"""The parameters of each method that are simulated."""
_MOST = 1000  # objects of a page
_NAMED = frozenset({"name", "bucket"})
_SUMS = frozenset({"crc32c", "md5Hash"})


class Storage(Api):
    """A Cloud Storage service for STORAGE_EMULATOR_HOST, from construction until `stop`. Nothing is left behind."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._lock = Lock()  # so that nothing changes between the check of a precondition and the call
        handlers: dict[str, Handler] = {
            "storage.buckets.get": self._get_bucket,
            "storage.buckets.insert": self._insert_bucket,
            "storage.buckets.list": self._list_buckets,
            "storage.objects.copy": self._copy,
            "storage.objects.delete": self._delete,
            "storage.objects.get": self._get,
            "storage.objects.insert": self._insert,
            "storage.objects.list": self._list,
            "storage.objects.move": self._move,
            "storage.objects.patch": self._patch,
            "storage.objects.rewrite": self._rewrite,
        }
        super().__init__("storage", "v1", handlers)

    def create_bucket(self, name: str, location: str = "US") -> None:
        with self._lock:
            self._buckets[name] = Bucket(name, self.url, location)

    def begin(self, request: Request) -> None:
        """An upload in parts is refused at once if its condition does not hold. It is checked once more at the end."""
        with self._lock:
            self._target(request)

    def handle(self, request: Request) -> Reply:
        honoured = _HONOURED[request.method.removeprefix("storage.")].split()
        if unknown := request.query.keys() - _ALWAYS - set(honoured):
            raise _not_simulated(f"The parameter {sorted(unknown)}")
        with self._lock:
            return super().handle(request)

    def _get_bucket(self, request: Request) -> dict[str, Any]:
        return _described(self._bucket(request.path["bucket"]))

    def _insert_bucket(self, request: Request) -> dict[str, Any]:
        name = request.body.get("name", "")
        if unknown := request.body.keys() - {"name"}:
            raise _not_simulated(f"A bucket with {sorted(unknown)}")
        if name in self._buckets:
            raise ApiError(409, "conflict", "Your previous request to create the named bucket succeeded.")
        self._buckets[name] = Bucket(name, self.url)
        return _described(self._buckets[name])

    def _list_buckets(self, _: Request) -> dict[str, Any]:
        return {"kind": "storage#buckets", "items": [_described(bucket) for bucket in self._buckets.values()]}

    def _list(self, request: Request) -> dict[str, Any]:
        query = request.query
        prefix, delimiter, glob = query.get("prefix", ""), query.get("delimiter", ""), query.get("matchGlob", "")
        size = min(int(query.get("maxResults", _MOST)), _MOST)
        page = self._bucket(request.path["bucket"]).page(prefix, delimiter, glob, query.get("pageToken", ""), size)
        answer = {"kind": "storage#objects", "items": page.items, "prefixes": page.prefixes}
        return answer if page.more is None else answer | {"nextPageToken": page.more}

    def _insert(self, request: Request) -> dict[str, Any]:
        bucket, name = self._target(request)
        if request.content is None:
            raise ApiError(400, "wrongUrlForUpload", "Upload requests must be uploaded to */upload/* instead.")
        return bucket.put(name, request.content.data, {"contentType": request.content.content_type, **request.body})

    def _target(self, request: Request) -> tuple[Bucket, str]:
        """Where an upload goes. Raises ApiError if it may not."""
        if unknown := request.body.keys() - WRITABLE - _NAMED - _SUMS:
            raise _not_simulated(f"An object with {sorted(unknown)}")
        bucket, name = self._bucket(request.path["bucket"]), request.query.get("name") or request.body.get("name")
        if not name:
            raise ApiError(400, "required", "The object's name is missing.")
        _check(request.query, "if", bucket.find(name))
        return bucket, name

    def _get(self, request: Request) -> dict[str, Any] | Answer:
        _, stored = self._found(request, reading=True)
        return _media(request, stored) if request.query.get("alt") == "media" else stored.resource

    def _patch(self, request: Request) -> dict[str, Any]:
        bucket, stored = self._found(request)
        if unknown := request.body.keys() - WRITABLE:
            raise _not_simulated(f"A patch of {sorted(unknown)}")
        return bucket.patch(stored.resource["name"], request.body)

    def _delete(self, request: Request) -> None:
        bucket, stored = self._found(request)
        bucket.delete(stored.resource["name"])

    def _move(self, request: Request) -> dict[str, Any]:
        source, target = request.path["sourceObject"], request.path["destinationObject"]
        if source == target:
            raise ApiError(400, "invalid", "Source and destination are the same object.")
        bucket = self._bucket(request.path["bucket"])
        moved = self._copied(request, bucket, bucket)
        bucket.delete(source)
        return moved

    def _copy(self, request: Request) -> dict[str, Any]:
        source, target = self._bucket(request.path["sourceBucket"]), self._bucket(request.path["destinationBucket"])
        return self._copied(request, source, target)

    def _rewrite(self, request: Request) -> dict[str, Any]:
        copy = self._copy(request)
        sizes = {"totalBytesRewritten": copy["size"], "objectSize": copy["size"]}
        return {"kind": "storage#rewriteResponse", "done": True, **sizes, "resource": copy}

    def _copied(self, request: Request, source: Bucket, target: Bucket) -> Resource:
        """The target, which gets the source's content and what is said of it."""
        stored = _existing(source, request.path["sourceObject"], request.query.get("sourceGeneration"))
        if request.body.keys() - _NAMED:
            raise _not_simulated("Metadata in a rewrite or a copy")
        name = request.path["destinationObject"]
        _check(request.query, "ifSource", stored)
        _check(request.query, "if", target.find(name))
        return target.put(name, stored.content, stored.resource)

    def _found(self, request: Request, *, reading: bool = False) -> tuple[Bucket, Stored]:
        bucket = self._bucket(request.path["bucket"])
        stored = _existing(bucket, request.path["object"], request.query.get("generation"))
        _check(request.query, "if", stored, reading=reading)
        return bucket, stored

    def _bucket(self, name: str) -> Bucket:
        if name not in self._buckets:
            raise ApiError(404, "notFound", "The specified bucket does not exist.")
        return self._buckets[name]


def _existing(bucket: Bucket, name: str, generation: str | None) -> Stored:
    stored = bucket.find(name)
    if stored is None or generation not in (None, stored.resource["generation"]):
        raise ApiError(404, "notFound", f"No such object: {bucket.name}/{name}")
    return stored


def _check(query: Mapping[str, str], prefix: str, stored: Stored | None, *, reading: bool = False) -> None:
    """
    Raise ApiError unless every precondition in the query holds. `stored` is None if there is no object.

    `prefix` is "if" or "ifSource". `reading`: an unmet "not match" is answered with 304, as for a GET. Source: the
    parameters' descriptions in the discovery document.
    """
    for field, absent in (("Generation", "0"), ("Metageneration", None)):
        wanted, unwanted = query.get(f"{prefix}{field}Match"), query.get(f"{prefix}{field}NotMatch")
        actual = stored.resource[field.lower()] if stored else absent
        if wanted is not None and unwanted is not None:
            raise ApiError(400, "invalid", f"{prefix}{field}Match and NotMatch exclude each other.")
        unmet = wanted is not None and wanted != actual
        if unmet or (unwanted is not None and (stored is None or unwanted == actual)):
            status = HTTPStatus.NOT_MODIFIED if reading and not unmet else HTTPStatus.PRECONDITION_FAILED
            raise ApiError(status, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def _media(request: Request, stored: Stored) -> Answer:
    """The content, or the range of it that is asked for."""
    resource, content = stored.resource, stored.content
    headers = {
        "Content-Type": resource["contentType"],
        "X-Goog-Generation": resource["generation"],
        "X-Goog-Metageneration": resource["metageneration"],
    }
    asked = request.headers.get("Range")
    if asked is None:
        return Answer(200, content, headers | {"X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}"})
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if wanted is None:
        raise _not_simulated(f"The range {asked}")
    first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
    if first >= len(content):
        raise ApiError(416, "requestedRangeNotSatisfiable", "The requested range cannot be satisfied.")
    return Answer(206, content[first : last + 1], headers | {"Content-Range": f"bytes {first}-{last}/{len(content)}"})


def _described(bucket: Bucket) -> dict[str, Any]:
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "location": bucket.location,
        "storageClass": "STANDARD",
        "metageneration": "1",
        "timeCreated": bucket.created,
        "updated": bucket.created,
    }


def _not_simulated(what: str) -> ApiError:
    return ApiError(501, "notImplemented", f"{what} is not simulated.")
