"""What came of a schedule when it has been played."""

import csv
import io
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import google.cloud.storage as storage

from tests.support.lane.cloud import Cloud
from tests.support.lane.schedules import Schedule
from tests.support.lane.subscriptions import Message, Subscriptions

DAY = "20260115"

Rows = list[dict[str, str | None]]
"""Of a table: values as text, by the names of their columns, in order of `id`."""


@dataclass(frozen=True)
class Pair:
    """A schema file, and the generation and the content of the data file beside it."""

    schema: dict[str, Any]
    generation: int
    data: str

    @property
    def rows(self) -> Rows:
        """As the schema file names their values. A bare empty field is NULL; no value is an empty string."""
        names = [column["source_name"] for column in self.schema["columns"]]
        fields = csv.reader(io.StringIO(self.data, newline=""))
        rows = [{name: value or None for name, value in zip(names, row, strict=True)} for row in fields]
        return sorted(rows, key=lambda row: int(row["id"] or 0))


@dataclass
class Played:
    """
    What there is when all is quiet.

    `runs` are the ids of the requests, and `states` all that each table held, each with how many runs had been requested then;
    `files` are the objects in the bucket by their names.
    """

    schedule: Schedule
    cloud: Cloud
    bucket: storage.Bucket
    dataset: str
    subscriptions: Subscriptions
    tables: tuple[str, ...]
    runs: list[str] = field(default_factory=list)
    states: dict[str, list[tuple[int, Rows]]] = field(default_factory=dict)
    files: dict[str, storage.Blob] = field(default_factory=dict)
    log: str = ""

    def messages(self, topic: str) -> list[Message]:
        """What was published there, in order."""
        return [each for each in self.subscriptions.messages if each.topic == topic]

    @cached_property
    def pairs(self) -> dict[str, Pair]:
        """Those that are sealed, by their tables."""
        found = {}
        for table in self.tables:
            schema = self.files.get(f"billing/{table}/schema_{DAY}.json")
            data = self.files.get(f"billing/{table}/data_{DAY}.csv")
            if schema and data:
                found[table] = Pair(json.loads(schema.download_as_bytes()), data.generation, data.download_as_text())
        return found

    @property
    def trace(self) -> str:
        """What happened, delivery by delivery."""
        lines = []
        for attempt in sorted(self.subscriptions.attempts, key=lambda each: each.began):
            when = f"{attempt.began:%H:%M:%S.%f} to {attempt.ended:%H:%M:%S.%f}" if attempt.ended else "for ever"
            lines.append(f"{when} {attempt.function} {attempt.message.id} -> {attempt.status}")
            lines += [f"    {met}" for met in attempt.met]
        return "\n".join([*lines, self.log])
