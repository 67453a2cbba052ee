"""
A stand-in for one of Google's REST APIs. Its requests and answers are checked by the API's discovery document.

google-api-python-client ships the document. Differences from the service: a request or an answer that does not fit the
document is refused. A method without a handler is 501. A parameter that is given twice is 400.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from local import fields
from local.discovery import Document, Method
from local.schemas import Schemas
from local.server import Answer, Call, HangUp, Server
from local.uploads import Content, Uploads


class ApiError(Exception):
    """An error answer, in the JSON body that Google APIs send."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        message = message or reason
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {
                "code": status,
                "message": message,
                "errors": [{"message": message, "domain": "global", "reason": reason}],
            }
        }


@dataclass(frozen=True)
class Request:
    """
    One call that the document allows. Parameters are decoded. Header names are case-insensitive.

    `content` is what is uploaded. It is None if nothing is, or if this call only begins an upload in parts.
    """

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, Any]
    headers: Message
    content: Content | None = None


Reply = dict[str, Any] | Answer | None
"""A resource, or None if the method has no response. An Answer is sent as it is, which is for content."""
Handler = Callable[[Request], Reply]
"""Answers one method. Raises ApiError or server.HangUp."""


@dataclass(frozen=True)
class Fault:
    """
    A call that fails. Its answer is `error`. With HangUp there is no answer.

    The call takes effect only if `after`: then the error comes after the effect.
    """

    error: ApiError | HangUp
    after: bool = False


_UPLOAD = re.compile("(?:/resumable)?/upload")
_document = cache(Document)
"""Each is read once in a process."""


class Api:
    """
    One REST API, served on loopback from construction until `stop`.

    `handlers` are keyed by the document's method ids, and run in several threads at once. Raises ValueError for an id that
    the document does not have. `faults` describes the answers that did not fit the document. Each is a bug of the
    stand-in, so tests assert that it is empty.

    A test has calls of a method fail by `plan`. What concerns several methods, or the text of an answer, goes between the
    callers and the server, by `server.between`.
    """

    def __init__(self, name: str, version: str, handlers: Mapping[str, Handler]) -> None:
        self._document = _document(name, version)
        self._handlers = handlers
        self._plans: Mapping[str, deque[Fault | None]] = {method: deque() for method in handlers}
        if unknown := handlers.keys() - self._document.methods.keys():
            raise ValueError(f"{name} {version} has no {', '.join(sorted(unknown))}")
        self._requests = Schemas(self._document.schemas, lenient=True)
        self._answers = Schemas(self._document.schemas, lenient=False)
        self._uploads = Uploads()
        self.faults: list[str] = []
        self.server = Server(self._answer)

    @property
    def url(self) -> str:
        """The URL of the server, without a trailing slash."""
        return self.server.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server, and close every connection."""
        self.server.stop()

    def plan(self, method: str, *faults: Fault | None) -> None:
        """Make the next calls of a method, such as `sql.operations.get`, fail. One fault each. None: the call succeeds."""
        self._plans[method].extend(faults)

    def handle(self, request: Request) -> Reply:
        """Answer a call by its handler, or fail it as planned. A stand-in may do more before and after."""
        plan = self._plans[request.method]
        fault = plan.popleft() if plan else None
        if fault and not fault.after:
            raise fault.error
        reply = self._handlers[request.method](request)
        if fault:
            raise fault.error
        return reply

    def begin(self, request: Request) -> None:
        """An upload in parts begins, whose content its handler gets later. Raises ApiError to refuse it now."""

    def _answer(self, call: Call) -> Answer:
        try:
            return self._respond(call)
        except ApiError as error:
            return Answer(304) if error.status == 304 else _json(error.status, error.body)

    def _respond(self, call: Call) -> Answer:
        target = urlsplit(call.target)
        upload = _UPLOAD.match(target.path)
        verb, path = ("POST", target.path[upload.end() :]) if upload else (call.verb, target.path)
        found = self._document.find(verb, path)
        if found is None or (upload and not found[0].takes):
            raise ApiError(404, "notFound", f"{call.verb} {target.path} is no method of this API")
        method, arguments = found
        if upload:
            return self._upload(call, method, arguments)
        query = self._query(method, target.query)
        return self._handled(Request(method.id, arguments, query, self._body(method, call.body), call.headers), method)

    def _upload(self, call: Call, method: Method, path: Mapping[str, str]) -> Answer:
        target, _, session = call.target.partition("&upload_id=")
        query = self._query(method, urlsplit(target).query)
        upload = self._uploads.take(call, query.get("uploadType", ""), session)
        if isinstance(upload, Answer):
            return upload
        body = self._body(method, upload.meta)
        request = Request(method.id, path, query, body, call.headers, upload.content)
        if upload.content is None:
            self.begin(request)
            return Answer(200, headers={"Location": f"{self.url}{target}&upload_id={upload.session}"})
        answer = self._handled(request, method)
        if upload.session:
            self._uploads.answers[upload.session] = answer
        return answer

    def _handled(self, request: Request, method: Method) -> Answer:
        mask = self._mask(method, request.query)
        if method.id not in self._handlers:
            raise ApiError(501, "notImplemented", f"The stand-in has no {method.id}")
        reply = self.handle(request)
        if isinstance(reply, Answer):
            return reply
        checked = self._checked(method, fields.select(mask, reply))
        return Answer(204) if checked is None else _json(200, checked)

    def _query(self, method: Method, text: str) -> dict[str, str]:
        pairs = parse_qsl(text, keep_blank_values=True)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise _bad("A parameter is given twice, which the stand-in does not read")
        for name, value in query.items():
            parameter = method.parameters.get(name)
            if parameter is None or parameter["location"] != "query":
                raise _bad(f'Unknown name "{name}": Cannot bind query parameter')
            for fault in self._requests.faults(parameter, value, name):
                raise _bad(fault)
        for name, parameter in method.parameters.items():
            if parameter.get("required") and parameter["location"] == "query" and name not in query:
                raise ApiError(400, "required", f"Required parameter: {name}")
        if query.get("alt", "json") != "json" and not (method.sends and query["alt"] == "media"):
            raise ApiError(501, "notImplemented", f"The stand-in does not answer {method.id} in {query['alt']}")
        return query

    def _body(self, method: Method, text: bytes) -> dict[str, Any]:
        if not text:
            return {}
        if method.request is None:
            raise _bad(f"{method.id} takes no body")
        try:
            body: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise ApiError(400, "parseError", "Parse Error") from error
        for fault in self._requests.faults(method.request, body):
            raise _bad(fault)
        return body or {}  # the body may be the JSON null

    def _mask(self, method: Method, query: Mapping[str, str]) -> fields.Mask:
        if "fields" not in query or method.response is None:
            return {}
        try:
            mask = fields.parse(query["fields"])
        except ValueError as error:
            raise ApiError(400, "invalidParameter", str(error)) from error
        for fault in fields.faults(self._answers, method.response, mask):
            raise ApiError(400, "invalidParameter", fault)
        return mask

    def _checked(self, method: Method, answer: dict[str, Any] | None) -> dict[str, Any] | None:
        if answer is None and method.response is None:
            return None
        schema = method.response or {"type": "object"}
        found = [f"{method.id}: {fault}" for fault in self._answers.faults(schema, answer)]
        if found:
            self.faults += found
            raise ApiError(500, "unfitAnswer", f"The stand-in's answer is not what the document says: {found[0]}")
        return answer


def _bad(message: str) -> ApiError:
    return ApiError(400, "badRequest", message)


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=UTF-8"})
