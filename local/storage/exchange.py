"""The request and response objects that gcp-storage-emulator's handlers use, for a call on our own server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.server import Answer, Call
from local.storage.objects import Refused
from local.uploads import parts


@dataclass
class Request:
    """One call. `params` are the decoded parts of its path."""

    call: Call
    base_url: str
    params: Mapping[str, str]

    @property
    def full_url(self) -> str:
        return f"{self.base_url}{self.call.target}"

    @cached_property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.call.target).query, keep_blank_values=True)

    @cached_property
    def first(self) -> dict[str, str]:
        """The first value of each query parameter."""
        return {name: values[0] for name, values in self.query.items()}

    @cached_property
    def data(self) -> Any:
        """
        The body: the parts of a multipart upload, the bytes of a media or resumable upload, or else JSON.

        Raises Refused if the body is encoded.
        """
        content_type = self.get_header("Content-Type", "")
        if "Transfer-Encoding" in self.call.headers or "Content-Encoding" in self.call.headers:
            raise Refused(HTTPStatus.NOT_IMPLEMENTED, "notImplemented", "Encoded request bodies are not simulated.")
        if content_type.startswith("multipart/"):
            return parts(self.call.body, content_type)
        if "upload_id" in self.query or self.first.get("uploadType") == "media":
            return self.call.body
        return json.loads(self.call.body) if self.call.body else {}

    def get_header(self, name: str, default: str | None = None) -> Any:
        return self.call.headers.get(name, default)


@dataclass
class Response:
    """The answer that a handler fills in."""

    status: HTTPStatus = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __setitem__(self, header: str, value: str) -> None:
        self.headers[header] = value

    def json(self, value: Any) -> None:
        self.write_file(json.dumps(value).encode(), "application/json; charset=UTF-8")

    def write_file(self, content: bytes, content_type: str | None = None) -> None:
        self.body = content
        if content_type:
            self["Content-Type"] = content_type

    def error(self, refused: Refused) -> None:
        self.status = refused.status
        detail = {"message": str(refused), "domain": "global", "reason": refused.reason}
        self.json({"error": {"code": int(refused.status), "message": str(refused), "errors": [detail]}})

    @property
    def answer(self) -> Answer:
        bodiless = self.status == HTTPStatus.NOT_MODIFIED
        return Answer(self.status, b"" if bodiless else self.body, self.headers)
