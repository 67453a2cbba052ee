"""Uploads as Google's REST APIs take them: in the parts of one request, or in a session of several."""

import json
import re
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.server import Answer, Call

_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+|\*)")


def parts(body: bytes, content_type: str) -> dict[str, Any]:
    """
    Split a multipart upload into its JSON and its content.

    gcp-storage-emulator parses it as the text of an e-mail, line by line. That takes ten times the memory.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = b"--" + str(header.get_boundary()).encode()
    _, meta, media = body.removesuffix(b"\r\n" + boundary + b"--").split(boundary + b"\r\n", maxsplit=2)
    media_headers, _, content = media.partition(b"\r\n\r\n")
    declared = BytesHeaderParser().parsebytes(media_headers).get("Content-Type", "application/octet-stream")
    return {"meta": json.loads(meta.partition(b"\r\n\r\n")[2]), "content": content, "content-type": declared}


@dataclass(frozen=True)
class Upload:
    """What has been uploaded: the JSON that came with it, and its content."""

    meta: Any
    content: bytes


@dataclass
class _Session:
    meta: Any
    content: bytearray = field(default_factory=bytearray)


class Uploads:
    """The sessions of one API. `take` gives what is complete, or the answer to a part."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._numbers = count(1)

    def take(self, call: Call, base_url: str) -> Upload | Answer:
        """A call to an upload's address: a whole upload, the beginning of a session, or a part of one."""
        target = urlsplit(call.target)
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        if session := self._sessions.get(query.get("upload_id", "")):
            return self._part(session, call)
        if query.get("uploadType") == "multipart":
            found = parts(call.body, call.headers.get("Content-Type", ""))
            return Upload(found["meta"], found["content"])
        upload_id = f"upload-{next(self._numbers)}"
        self._sessions[upload_id] = _Session(json.loads(call.body))
        return Answer(200, headers={"Location": f"{base_url}{target.path}?uploadType=resumable&upload_id={upload_id}"})

    def _part(self, session: _Session, call: Call) -> Upload | Answer:
        found = _RANGE.fullmatch(call.headers.get("Content-Range", ""))
        if not found or (found["first"] and int(found["first"]) != len(session.content)):
            return Answer(400)
        session.content += call.body
        if found["total"] == str(len(session.content)):
            return Upload(session.meta, bytes(session.content))
        received = {"Range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
        return Answer(308, headers=received)
