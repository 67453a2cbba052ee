"""
Cloud Storage on one machine. It uses gcp-storage-emulator, and adds the guarantees that the emulator lacks.

Differences from the service: one version of each object, no soft delete, no access control, no batches. A route or a
parameter that is not in `_ROUTES` is refused with 501.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.handlers import objects as emulated

from local.server import Answer, Call, Server
from local.storage.exchange import Request, Response
from local.storage.objects import Objects, Refused, check

Handler = Callable[[Request, Response, Objects], object]


class Storage:
    """
    A Cloud Storage service for STORAGE_EMULATOR_HOST, from construction until `stop`.

    Objects are in memory, so nothing is left behind even if the process is killed. Storing them on disk would not save
    memory, because the emulator reads each object into memory as a whole.
    """

    def __init__(self) -> None:
        self._objects = Objects()
        self._lock = Lock()
        self.server = Server(self._answer)
        self.url = self.server.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.server.stop()

    def create_bucket(self, name: str) -> None:
        with self._lock:
            buckets.create_bucket(name, self._objects)

    def _answer(self, call: Call) -> Answer:
        response = Response()
        try:
            handler, request = _routed(call, self.url)
            with self._lock:  # so that nothing changes between the check of a precondition and the call
                _admit(request, self._objects)
                handler(request, response, self._objects)
        except Refused as refused:
            response.error(refused)
        return response.answer


def _list(request: Request, response: Response, stored: Objects) -> None:
    """List objects by prefix, delimiter and glob. The page token is the last name of the page before."""
    query = request.first
    names = (request.params["bucket_name"], query.get("prefix"), query.get("delimiter"), query.get("matchGlob"))
    items, prefixes = stored.get_file_list(*names)
    after, size = query.get("pageToken", ""), int(query.get("maxResults", "1000"))
    rest = [item for item in items if item["name"] > after]
    answer = {"kind": "storage#objects", "items": rest[:size], "prefixes": [] if after else prefixes}
    more = {"nextPageToken": rest[size - 1]["name"]} if len(rest) > size else {}
    response.json(answer | more)


def _get(request: Request, response: Response, stored: Objects) -> None:
    if request.first.get("alt") == "media":
        _download(request, response, stored)
    else:
        response.json(stored.find(request.params["bucket_name"], request.params["object_id"]))


def _download(request: Request, response: Response, stored: Objects) -> None:
    resource = stored.objects[request.params["bucket_name"]][request.params["object_id"]]
    wanted = re.fullmatch(r"bytes=(\d+)-\d*", request.get_header("Range", "bytes=0-"))
    if wanted is None:
        raise _not_simulated(f"The range {request.get_header('Range')}")
    if "Range" in request.call.headers and int(wanted[1]) >= int(resource["size"]):
        message = "The requested range cannot be satisfied."
        raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "requestedRangeNotSatisfiable", message)
    response["X-Goog-Generation"] = resource["generation"]
    response["X-Goog-Metageneration"] = resource["metageneration"]
    emulated.download(request, response, stored)


def _move(request: Request, response: Response, stored: Objects) -> None:
    bucket, source = request.params["bucket_name"], request.params["object_id"]
    destination = request.params["dest_object_id"]
    if source == destination:
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", "Source and destination are the same object.")
    response.json(stored.move(bucket, source, destination))


def _patch(request: Request, response: Response, stored: Objects) -> None:
    writable = {"metadata", "contentType", "cacheControl", "contentDisposition", "contentLanguage", "customTime"}
    if unknown := request.data.keys() - writable:
        raise _not_simulated(f"A patch of {sorted(unknown)}")
    response.json(stored.patch(request.params["bucket_name"], request.params["object_id"], request.data))


def _delete(request: Request, response: Response, stored: Objects) -> None:
    stored.delete_file(request.params["bucket_name"], request.params["object_id"])
    response.status = HTTPStatus.NO_CONTENT


def _admit(request: Request, stored: Objects) -> None:
    """Refuse a call if its bucket or object is missing, or if its preconditions do not hold."""
    params, query = request.params, request.first
    bucket = params.get("bucket_name", "")
    for named in {bucket, params.get("dest_bucket_name", bucket)} - {""}:
        if named not in stored.buckets:
            raise Refused(HTTPStatus.NOT_FOUND, "notFound", "The specified bucket does not exist.")
    if "object_id" not in params:
        if "uploadType" in query:
            _admit_upload(request, stored)
        return
    resource = stored.find(bucket, params["object_id"])
    generation = query.get("generation") or query.get("sourceGeneration")
    if resource is None or generation not in {None, resource["generation"]}:
        raise Refused(HTTPStatus.NOT_FOUND, "notFound", f"No such object: {bucket}/{params['object_id']}")
    if "dest_object_id" in params:
        if request.data.keys() - {"name", "bucket"}:
            raise _not_simulated("Metadata in a rewrite or a copy")
        check(query, "ifSource", resource)
        resource = stored.find(params.get("dest_bucket_name", bucket), params["dest_object_id"])
    check(query, "if", resource, reading=request.call.verb == "GET")


def _admit_upload(request: Request, stored: Objects) -> None:
    name = _upload_name(request, stored)
    if not name:
        raise Refused(HTTPStatus.BAD_REQUEST, "required", "The object's name, or its upload, is unknown.")
    check(request.first, "if", stored.find(request.params["bucket_name"], name))


def _upload_name(request: Request, stored: Objects) -> str:
    query = request.first
    if "upload_id" in query:
        return str(stored.resumable.get(query["upload_id"], {}).get("name", ""))
    if query.get("uploadType") == "media" or "name" in query:
        return query.get("name", "")
    return str(request.data.get("meta", request.data).get("name", ""))


class _Route(NamedTuple):
    verb: str
    path: re.Pattern[str]
    handler: Handler
    query: frozenset[str]


def _route(verb: str, path: str, handler: Handler, query: str = "") -> _Route:
    parameters = {"alt", "fields", "prettyPrint", "projection", *query.split()}
    return _Route(verb, re.compile(path), handler, frozenset(parameters))


_CHECKED = " ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch ifMetagenerationNotMatch"
_TAKEN = _CHECKED + _CHECKED.replace("if", "ifSource")
_PUT = "uploadType upload_id name" + _CHECKED
_BUCKET = r"/b/(?P<bucket_name>[^/]+)"
_OBJECT = _BUCKET + r"/o/(?P<object_id>[^/]+)"
_OTHER = r"/b/(?P<dest_bucket_name>[^/]+)/o/(?P<dest_object_id>[^/]+)"
_ROUTES = (
    _route("GET", "/storage/v1/b", buckets.ls, "project"),
    _route("POST", "/storage/v1/b", buckets.insert, "project"),
    _route("GET", f"/storage/v1{_BUCKET}", buckets.get),
    _route("DELETE", f"/storage/v1{_BUCKET}", buckets.delete),
    _route("GET", f"/storage/v1{_BUCKET}/o", _list, "prefix delimiter matchGlob pageToken maxResults"),
    _route("GET", f"/storage/v1{_OBJECT}", _get, "generation" + _CHECKED),
    _route("GET", f"/download/storage/v1{_OBJECT}", _download, "generation" + _CHECKED),
    _route("PATCH", f"/storage/v1{_OBJECT}", _patch, "generation" + _CHECKED),
    _route("DELETE", f"/storage/v1{_OBJECT}", _delete, "generation" + _CHECKED),
    _route("POST", f"/storage/v1{_OBJECT}/rewriteTo{_OTHER}", emulated.rewrite, "sourceGeneration" + _TAKEN),
    _route("POST", f"/storage/v1{_OBJECT}/copyTo{_OTHER}", emulated.copy, "sourceGeneration" + _TAKEN),
    _route("POST", rf"/storage/v1{_OBJECT}/moveTo/o/(?P<dest_object_id>[^/]+)", _move, _TAKEN),
    _route("POST", f"/upload/storage/v1{_BUCKET}/o", emulated.insert, _PUT),
    _route("PUT", f"/upload/storage/v1{_BUCKET}/o", emulated.upload_partial, _PUT),
)


def _routed(call: Call, base_url: str) -> tuple[Handler, Request]:
    path = urlsplit(call.target).path
    for route in _ROUTES:
        if route.verb == call.verb and (found := route.path.fullmatch(path)):
            params = {name: unquote(value) for name, value in found.groupdict().items()}
            request = Request(call, base_url, params)
            if unknown := request.query.keys() - route.query:
                raise _not_simulated(f"The parameter {sorted(unknown)}")
            return route.handler, request
    raise _not_simulated(f"{call.verb} {path}")


def _not_simulated(what: str) -> Refused:
    return Refused(HTTPStatus.NOT_IMPLEMENTED, "notImplemented", f"{what} is not simulated.")
