"""A function as functions-framework serves it, in this process, and the messages that are brought to it."""

import base64
import json
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import functions_framework
import httplib2

from tests.support.repository import ROOT
from tests.support.standins import PROJECT

REQUESTED = "2026-01-15T02:00:00Z"

_FUNCTIONS = ROOT / "functions"
INPUTS = {
    "list_tables": "mirror-requests",
    "export_table": "table-exports",
    "load_shard": "table-exported",
    "refresh_views": "view-refreshes",
    "start_loader": "run-exported",
    "read_snapshot": "snapshots",
}


class _Closing(httplib2.HTTPConnectionWithTimeout):  # type: ignore[misc]
    """A connection that is closed when it is collected. httplib2 leaves it open, which would look like a leak of ours."""

    def connect(self) -> None:
        super().connect()
        weakref.finalize(self, self.sock.close)


httplib2.SCHEME_TO_CONNECTION["http"] = _Closing


def column(name: str, data_type: str, *, nullable: bool = True, **more: str) -> dict[str, Any]:
    """A column as `table-exports` carries it."""
    return {"name": name, "data_type": data_type, "nullable": nullable, "comment": None, **more}


def table_export(table: str = "orders", **changes: Any) -> dict[str, Any]:
    """A message on `table-exports`; its table has an `id` and a `note` unless the changes say otherwise."""
    message = {
        "run_id": "9912",
        "requested_at": REQUESTED,
        "pipeline": "billing",
        "schema": "public",
        "table": table,
        "shard_date": "2026-01-15",
        "replace": True,
        "columns": [column("id", "bigint", nullable=False), column("note", "text")],
    }
    return message | changes


def topic(name: str) -> str:
    return f"projects/{PROJECT}/topics/{name}"


class Function:
    """
    A function, served by functions-framework in this process.

    `record` puts on record what a message says that is brought to it, as whoever publishes such messages has done.
    """

    def __init__(self, name: str, record: Callable[[Mapping[str, Any]], None] = lambda _: None) -> None:
        self._record = record
        self._topic = topic(INPUTS[name])
        self._app = functions_framework.create_app(name, str(_FUNCTIONS / f"{name}.py"))  # type: ignore[no-untyped-call]
        self._module: Any = sys.modules[name]  # as the framework has loaded it

    @property
    def topics(self) -> Any:
        """What it publishes by."""
        return self._module.topics

    def work_with(self, **services: Any) -> None:
        """Have it work with others in the place of these services, such as a clock."""
        self._module.services = replace(self._module.services, **services)

    def serve(self, **changes: Any) -> None:
        """Have its pipeline `billing` be so from now on, as if it had been deployed anew."""
        settings = self._module.settings
        pipeline = replace(settings.pipelines["billing"], **changes)
        self._module.settings = replace(settings, pipelines={"billing": pipeline})

    def receive(
        self,
        data: Mapping[str, Any] | bytes | None,
        *,
        message_id: str = "9912",
        published: str = REQUESTED,
        attributes: Mapping[str, str] | None = None,
        push: bool = False,
        attempt: int | None = None,
        on_record: bool = True,
        on: str = "",
    ) -> int:
        """
        Bring it a Pub/Sub message, with data or none, as a CloudEvent or as a bare push, and give the status of its answer.

        `attempt`: which delivery it is, where the subscription counts. `on_record`: nobody has forged it. `on`: another topic
        than the usual one.
        """
        if on_record and isinstance(data, Mapping):
            self._record(data)
        where = topic(on) if on else self._topic
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        message = {
            **({} if data is None else {"data": base64.b64encode(content).decode()}),
            "attributes": dict(attributes or {}),
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": published,
            "publish_time": published,
        }
        body: dict[str, Any] = {"message": message, "subscription": f"projects/{PROJECT}/subscriptions/s"}
        if attempt is not None:
            body["deliveryAttempt"] = attempt
        if push:
            return self._post(f"/{where}", {"content-type": "application/json"}, body)
        headers = {
            "ce-id": message_id,
            "ce-source": f"//pubsub.googleapis.com/{where}",
            "ce-specversion": "1.0",
            "ce-time": published,
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        return self.hear(headers, body)

    def hear(self, headers: Mapping[str, str], body: Any) -> int:
        """Bring it a CloudEvent in binary mode, and give the status of its answer."""
        return self._post("/", {"content-type": "application/json", **headers}, body)

    def _post(self, path: str, headers: Mapping[str, str], body: Any) -> int:
        return int(self._app.test_client().post(path, headers=dict(headers), data=json.dumps(body)).status_code)
