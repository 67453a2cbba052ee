"""A check from its request to the views of its canaries, by the real functions."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared import times
from tests.support.days import Days
from tests.support.delivery import topic
from tests.support.stage import Stage

CHECK = {"pipeline": "billing", "check": True}


class Check(Days):
    """A check of a pipeline that reads small tables by snapshot, in a database that has tables of its own."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        super().__init__(stage, **{"small_tables": "snapshot", "include": ["public.*"], **settings})
        stage.clock.put(times.rfc3339(datetime.now(UTC)))  # as the database's, which says when a snapshot was taken
        stage.environment.setenv("SNAPSHOTS_TOPIC", topic("snapshots"))
        self.day = stage.clock.now().date().isoformat()
        self.stamp = self.day.replace("-", "")

    def listed(self, number: int = 1) -> list[bytes]:
        """Have the check of that number listed, and give the messages that ask for its exports."""
        self.run = f"{self.stage.run_id}-check-{number}"
        return self.request(check=True)

    def read(self, *wishes: bytes) -> list[int]:
        """Have snapshots read."""
        published = self.stage.clock.text()
        return [self.function("read_snapshot").receive(data, published=published) for data in wishes]

    def wishes(self) -> list[bytes]:
        """What has been published on `snapshots` since the last look."""
        return [message.data for message in self.stage.published("snapshots")]

    def whole(self, number: int = 1) -> None:
        """A check, from its request to the views."""
        exports = self.listed(number)
        assert self.read(*self.wishes()) == [200]
        self.load(*self.export(*exports))
        self.hear()

    def rows(self, view: str) -> list[Mapping[str, Any]]:
        """What a view gives to BigQuery's client."""
        found = self.stage.warehouse.query_and_wait(f"SELECT * FROM `{self.stage.view(view)}`")
        return [{key: row[key] for key in row.keys()} for row in found]  # noqa: SIM118 - it is no mapping

    def records(self) -> list[str]:
        """What is on record of the check, by its place in the folder of the run."""
        folder = f"billing/_runs/{self.run}/"
        return sorted(name.removeprefix(folder) for name in self.stage.files() if name.startswith(folder))

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(message.data) for message in self.stage.published("dead-letters")]
