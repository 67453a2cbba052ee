"""What a server tells of a failure, put into its mouth by a test; and all that the functions tell of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.server import Answer, Answering, Call, Server
from tests.support.interposed import interposed
from tests.support.stage import Stage


@contextmanager
def telling(server: Server, field: str, error: Any) -> Iterator[None]:
    """Have each error that a server tells, in a field of that name within its answers, be told as that one."""

    def rewritten(value: Any) -> Any:
        if isinstance(value, list):
            return [rewritten(item) for item in value]
        if isinstance(value, dict):
            return {name: error if name == field else rewritten(inner) for name, inner in value.items()}
        return value

    def answer(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        body = json.dumps(rewritten(json.loads(answer.body))).encode() if answer.status == 200 else answer.body
        return Answer(answer.status, body, answer.headers)

    with interposed(answer, server):
        yield


@contextmanager
def refusing(server: Server, status: int, message: str) -> Iterator[None]:
    """Have a server refuse each call with that message."""
    error = {"code": status, "message": message, "errors": [{"reason": "invalid", "message": message}]}
    body = json.dumps({"error": error}).encode()

    def answer(_: Call, __: Answering) -> Answer:
        return Answer(status, body, {"content-type": "application/json"})

    with interposed(answer, server):
        yield


class Ears:
    """All that has been told since they were last asked, wherever somebody may read it, but for the files of rows."""

    def __init__(self, stage: Stage, output: pytest.CaptureFixture[str], logs: pytest.LogCaptureFixture) -> None:
        self._stage = stage
        self._output = output
        self._logs = logs

    def heard(self) -> str:
        """Lines of the log, stderr and its tracebacks, records, and messages with their attributes."""
        written = self._output.readouterr()
        records = [self._stage.content(name) for name in self._stage.files() if "/_runs/" in name]
        topics = ("dead-letters", "table-exported", "run-exported", "table-exports")
        messages = [str(message) for topic in topics for message in self._stage.published(topic)]
        logged = self._logs.text
        self._logs.clear()
        return "\n".join([written.out, written.err, logged, *records, *messages])
