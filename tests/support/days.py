"""A run from its request to its views, by the real functions: what tests of run-shown and of the ledger play."""

import json
from collections.abc import Mapping
from typing import Any

from local import audit_log
from shared import times
from tests.support.delivery import Function, topic
from tests.support.stage import Event, Stage
from tests.support.standins import PROJECT

RECONCILE = {"pipeline": "billing"}


class Days:
    """
    A stage on which somebody waits for days to be shown, with a ledger; `run` is the id of its next run.

    The functions that the stage starts have their topics. `events` are the ends of loads that nobody has told yet.
    """

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self.stage = stage
        self.run = stage.run_id
        self.ops = f"ops_{stage.run_id.replace('-', '_')}"
        stage.pipeline |= settings
        stage.warehouse.create_dataset(self.ops)
        stage.environment.setenv("RUN_SHOWN_TOPIC", topic("run-shown"))
        stage.environment.setenv("RUN_EXPORTED_TOPIC", topic("run-exported"))
        stage.environment.setenv("OPS_DATASET", self.ops)
        self.functions: dict[str, Function] = {}
        self.events: list[Event] = []
        self.reconciles = 0

    def function(self, name: str) -> Function:
        if name not in self.functions:
            self.functions[name] = self.stage.function(name)
        return self.functions[name]

    def request(self, **request: Any) -> list[bytes]:
        """Have a run listed, and give the messages that ask for its exports."""
        ago = self.stage.clock.now()
        status = self.function("list_tables").receive(
            RECONCILE | request, message_id=self.run, published=times.rfc3339(ago)
        )
        assert status == 200
        return [message.data for message in self.stage.published("table-exports")]

    def export(self, *messages: bytes, published: str = "") -> list[bytes]:
        """Have tables exported, and give the announcements of their pairs."""
        for data in messages:
            self.function("export_table").receive(data, published=published or self.stage.clock.text())
        return [message.data for message in self.stage.published("table-exported")]

    def load(self, *announcements: bytes, published: str = "") -> list[int]:
        """Have pairs loaded; `events` has the ends of the jobs then."""
        self.stage.jobs.clear()
        published = published or self.stage.clock.text()
        statuses = [self.function("load_shard").receive(data, published=published) for data in announcements]
        for job in list(self.stage.jobs):
            self.events.append(audit_log.cloud_event(audit_log.entries(job)[-1]))
        return statuses

    def hear(self) -> list[int]:
        """Tell of the ends of all loads that are untold."""
        events, self.events = self.events, []
        return [self.function("refresh_views").hear(*event) for event in events]

    def all_through(self, **request: Any) -> None:
        """Everything goes well."""
        self.load(*self.export(*self.request(**request)))
        self.hear()

    def reconcile(self, message_id: str = "") -> None:
        """Without an id, by a message of its own."""
        self.reconciles += 1
        message_id = message_id or f"reconcile-{self.reconciles}"
        published = self.stage.clock.text()
        assert self.function("refresh_views").receive(RECONCILE, message_id=message_id, published=published) == 200

    def told(self) -> list[dict[str, Any]]:
        """What has been published on `run-shown` since the last look."""
        return [json.loads(message.data) for message in self.stage.published("run-shown")]

    def record(self, end: str, table: str = "orders") -> Any:
        return self.stage.json(f"billing/_runs/{self.run}/{end}/{table}.json")

    def ledger(self) -> list[Mapping[str, Any]]:
        """Its lines, by table and outcome."""
        table = self.stage.warehouse.get_table(f"{PROJECT}.{self.ops}.ledger")
        lines = [dict(row.items()) for row in self.stage.warehouse.list_rows(table)]
        return sorted(lines, key=lambda line: (line["table_id"], line["outcome"]))

    def outcomes(self) -> list[tuple[str, str]]:
        return [(line["table_id"], line["outcome"]) for line in self.ledger()]

    def shown(self, **ends: str) -> dict[str, Any]:
        """The message of a run whose tables have ended so, named with blanks between."""
        return {
            "run_id": self.run,
            "pipeline": "billing",
            "shard_date": "2026-01-15",
            **{end: sorted(ends.get(end, "").split()) for end in ("shown", "failed", "held", "skipped")},
        }


def tables(stage: Stage, *names: str, rows: int = 2) -> None:
    """Have tables made of so many rows."""
    for name in names:
        stage.run(f"CREATE TABLE {name} AS SELECT n AS id, 'a' AS note FROM generate_series(1, {rows}) AS n")
