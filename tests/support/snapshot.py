"""A run whose tables are to be read in a snapshot, as it is listed, and what comes of it."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

from shared import times
from tests.support.delivery import topic
from tests.support.stage import Stage, wait_for
from tests.support.standins import DATABASE

FIRST = "CREATE TABLE aaa (id bigint NOT NULL, note text)"
"""The table that is read first, as the lister sorts them."""


@dataclass
class Run:
    """A run of today over all tables of the stage, which are in its snapshot 1."""

    stage: Stage
    number: int = 1
    replace: bool = True
    day: str | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have it listed. The database's clock is the machine's, so that the functions' has to be that, too."""
        now = datetime.now(UTC) + timedelta(seconds=self.number)
        self.stage.clock.put(times.rfc3339(now))
        self.run_id = f"{self.stage.run_id}-{self.number}"
        self.requested_at = times.rfc3339(now)
        self.shard_date = self.day or now.date().isoformat()
        self.stamp = self.shard_date.replace("-", "")
        request = {"pipeline": "billing"} | ({"shard_date": self.day} if self.day else {})
        self.stage.pipeline["small_tables"] = "snapshot"
        listing = self.stage.function("list_tables", SNAPSHOTS_TOPIC=topic("snapshots"))
        assert listing.receive(request, message_id=self.run_id, published=self.requested_at) == 200
        self.stage.published("table-exports")
        self.function = self.stage.function("read_snapshot", **self.environ)

    @property
    def wish(self) -> dict[str, Any]:
        """Its message on `snapshots`."""
        return {
            "run_id": self.run_id,
            "requested_at": self.requested_at,
            "pipeline": "billing",
            "shard_date": self.shard_date,
            "replace": self.day is None,
            "snapshot": 1,
        }

    def read(self, **more: Any) -> int:
        """Have the snapshot read, and give the status of the answer."""
        return self.function.receive(self.wish, message_id="1", published=self.requested_at, **more)

    def seal(self, table: str) -> dict[str, Any]:
        """The schema file of a table."""
        found: dict[str, Any] = self.stage.json(f"billing/{table}/schema_{self.stamp}.json")
        return found

    def rows(self, table: str) -> list[str]:
        """The lines of a table's sealed data, which is of the generation that its schema file means."""
        seal = self.seal(table)
        blob = self.stage.bucket.get_blob(seal["data_uri"].removeprefix(f"gs://{self.stage.bucket.name}/"))
        assert blob.generation == seal["data_generation"]
        assert blob.metadata["snapshot"] == seal["snapshot"]
        return sorted(blob.download_as_text().splitlines())

    def record(self, settled: str, table: str) -> dict[str, Any]:
        found: dict[str, Any] = self.stage.json(f"billing/_runs/{self.run_id}/{settled}/{table}.json")
        return found

    def ends(self) -> dict[str, list[str]]:
        """How its tables have settled: for each word the ids of those of which that is on record."""
        prefix = f"billing/_runs/{self.run_id}/"
        ends: dict[str, list[str]] = {}
        for name in self.stage.files():
            word, _, table = name.removeprefix(prefix).partition("/")
            if name.startswith(prefix) and table and word != "snapshots":
                ends.setdefault(word, []).append(table.removesuffix(".json"))
        return ends

    def staged(self) -> list[str]:
        return [name for name in self.stage.files() if "/_staging/" in name]

    def announced(self) -> list[dict[str, Any]]:
        return [json.loads(message.data) for message in self.stage.published("table-exported")]


@contextmanager
def behind_the_snapshot(stage: Stage, *statements: str) -> Iterator[None]:
    """
    Have SQL run, as one transaction, once the snapshot is taken and before the tables behind the first one are read.

    The first is locked until then.
    """
    with (
        closing(stage.postgres.connect(DATABASE)) as holder,
        closing(stage.postgres.connect(DATABASE)) as watcher,
    ):
        holder.run("BEGIN")
        holder.run("LOCK TABLE aaa")

        def change() -> None:
            wait_for(lambda: bool(watcher.run("SELECT FROM pg_catalog.pg_locks WHERE NOT granted")))
            watcher.run("BEGIN")
            for statement in statements:
                watcher.run(statement)
            watcher.run("COMMIT")
            holder.run("COMMIT")

        changing = Thread(target=change)
        changing.start()
        yield
        changing.join()
