"""Uploads as Google's REST APIs take them: in one request, in its parts, or in a session of several requests."""

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from itertools import count

from local.server import Answer, Call

_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+|\*)")
_DATA = "application/octet-stream"


@dataclass(frozen=True)
class Content:
    """What has been uploaded."""

    data: bytes
    content_type: str


@dataclass(frozen=True)
class Upload:
    """An upload: the text of the JSON that came with it, and its content. None: it has begun, and goes on in its session."""

    meta: bytes
    content: Content | None
    session: str = ""


@dataclass(frozen=True)
class _Session:
    meta: bytes
    content_type: str
    data: bytearray


class Uploads:
    """The sessions of one API. `take` gives what has begun or is complete, or the answer to a part."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._numbers = count(1)
        self.answers: dict[str, Answer] = {}
        """The answers to uploads that are complete, by their sessions. A part that is sent once more gets it, too."""

    def take(self, call: Call, way: str, session: str) -> Upload | Answer:
        """A call to an upload's address. `way` is its `uploadType`, and `session` its `upload_id`, or empty."""
        content_type = call.headers.get("Content-Type", _DATA)
        if session:
            return self._part(session, call)
        if way == "multipart":
            return _parts(call.body, content_type)
        if way == "media":
            return Upload(b"", Content(call.body, content_type))
        if way != "resumable" or call.verb != "POST":
            return Answer(400)
        session = f"upload-{next(self._numbers)}"
        self._sessions[session] = _Session(call.body, call.headers.get("X-Upload-Content-Type", _DATA), bytearray())
        return Upload(call.body, None, session)

    def _part(self, name: str, call: Call) -> Upload | Answer:
        session = self._sessions.get(name)
        if session is None:
            return self.answers.get(name, Answer(404))
        if call.verb == "DELETE":
            del self._sessions[name]
            return Answer(499)  # https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload
        found = _RANGE.fullmatch(call.headers.get("Content-Range", ""))
        if not found or (found["first"] and int(found["first"]) != len(session.data)):
            return Answer(400)
        session.data.extend(call.body)
        if found["total"] == str(len(session.data)):
            del self._sessions[name]
            return Upload(session.meta, Content(bytes(session.data), session.content_type), name)
        received = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
        return Answer(308, headers=received)


def _parts(body: bytes, content_type: str) -> Upload:
    """Not with `email`, which reads line by line, and takes ten times the memory."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = b"--" + str(header.get_boundary()).encode()
    _, meta, media = body.removesuffix(b"\r\n" + boundary + b"--").split(boundary + b"\r\n", maxsplit=2)
    media_headers, _, data = media.partition(b"\r\n\r\n")
    declared = BytesHeaderParser().parsebytes(media_headers).get("Content-Type", _DATA)
    return Upload(meta.partition(b"\r\n\r\n")[2], Content(data, declared))
