"""Functions as they are deployed, without the rest of the cloud. Each bench starts the services that it needs."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.cloud import DEPLOYED, PROJECT, REPOSITORY
from local.functions import Function, lay_out
from local.source import INSTANCE

PIPELINE = {
    "instance": INSTANCE,
    "database": "postgres",
    "user": "postgres",
    "bucket": "bench",
    "shards_dataset": "shards",
    "views_dataset": "views",
}
_PATIENCE = 120.0
"""Seconds for an answer."""

Event = tuple[str, dict[str, str], bytes]
"""Path, headers and body of the request that delivers an event."""


class Deployed:
    """
    The functions, laid out in `work` as they are deployed.

    They run with `pipelines` and the variables in `environ`. `files` adds functions to the archive: name and source.
    """

    def __init__(
        self, work: Path, pipelines: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], **files: str
    ) -> None:
        self._work, self._archive = work, work / "archive"
        lay_out(REPOSITORY, self._archive)
        for name, source in files.items():
            (self._archive / f"{name}.py").write_text(source, encoding="utf-8")
        self._environ = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PIPELINES": json.dumps(pipelines),
            **{f"{name}_TOPIC": topic(name) for name in ("TABLE_EXPORTS", "TABLE_EXPORTED", "DEAD_LETTERS")},
            **environ,
        }

    def start(self, name: str) -> Function:
        """Start a function, and return when it answers. Its output goes to a log in `work`."""
        return Function(name, self._archive, self._environ, DEPLOYED, self._work / f"{name}.log")


def topic(variable: str) -> str:
    """The full name of a topic, from its variable without `_TOPIC`: `TABLE_EXPORTS` gives `projects/…/table-exports`."""
    return f"projects/{PROJECT}/topics/{variable.lower().replace('_', '-')}"


def pushed(message: Mapping[str, Any], message_id: str = "9912") -> Event:
    """A message as a push subscription delivers it."""
    fields = {
        "data": base64.b64encode(json.dumps(message).encode()).decode(),
        "messageId": message_id,
        "publishTime": datetime.now(UTC).isoformat(),
    }
    body = {"message": fields, "subscription": f"projects/{PROJECT}/subscriptions/bench"}
    return f"/{topic('bench')}", {"content-type": "application/json"}, json.dumps(body).encode()


def send(function: Function, event: Event) -> HTTPConnection:
    """Send an event to a function. Does not wait: read the answer from the connection."""
    connection = HTTPConnection(urlsplit(function.url).netloc, timeout=_PATIENCE)
    path, headers, body = event
    connection.request("POST", path, body, headers)
    return connection


def receive(function: Function, event: Event) -> None:
    """Send an event to a function, and wait for the answer. Raises RuntimeError if its status is not a success."""
    connection = send(function, event)
    try:
        answered(connection)
    finally:
        connection.close()


def answered(connection: HTTPConnection) -> None:
    """Wait for the answer. Raises RuntimeError if its status is not a success."""
    with connection.getresponse() as answer:
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"the function answered {answer.status}")
