"""What becomes of a run's tables, by the records in its folder of the bucket."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from shared import bucket as paths
from shared import names
from shared.bucket import Bucket
from shared.pipelines import Pipeline

WAITING, EXPORTED, LOADED, SHOWN, HELD = "waiting", "exported", "loaded", "shown", "held"
SKIPPED, FAILED = "skipped", "failed"
_RECORDS = (SHOWN, HELD, FAILED, SKIPPED, LOADED, EXPORTED)
"""The folders of records, in the order in which they count: a replay shows what had failed, and a load fails after the export."""
OVER = frozenset({SHOWN, HELD, SKIPPED, FAILED})


@dataclass(frozen=True, slots=True)
class TableOfRun:
    """A table of a run: its name at the source, its id in BigQuery, how far it is, and why it is no further."""

    table: str
    table_id: str
    state: str = WAITING
    reason: str | None = None

    def to_json(self) -> dict[str, str | None]:
        return {"table": self.table, "table_id": self.table_id, "state": self.state, "reason": self.reason}


class Run:
    """A run of a pipeline, seen from outside."""

    def __init__(self, bucket: Bucket, pipeline: Pipeline, run_id: str) -> None:
        self._bucket = bucket
        self._pipeline = pipeline
        self._folder = paths.run_folder(pipeline.name, run_id)
        self._manifest = paths.manifest_file(pipeline.name, run_id)
        self._tables: list[TableOfRun] | None = None
        self._reasons: dict[str, str] = {}

    def look(self) -> list[TableOfRun] | None:
        """
        Its tables as they are now. None until it has a manifest.

        It costs one list, and one read for each table that has come to a stop since the last look. Raises what a bucket does.
        """
        there = set(self._bucket.names(self._folder))
        if self._tables is None and self._manifest in there:
            self._tables = self._listed()
        return None if self._tables is None else [self._now(each, there) for each in self._tables]

    def _listed(self) -> list[TableOfRun]:
        found = self._bucket.read(self._manifest)
        content = json.loads(found[0]) if found else {}
        refused = [self._table(each, FAILED, each["reason"]) for each in content.get("refused", ())]
        return [self._table(each) for each in content.get("tables", ())] + refused

    def _table(self, entry: Mapping[str, str], state: str = WAITING, reason: str | None = None) -> TableOfRun:
        schema, table = entry["schema"], entry["table"]
        table_id = names.table_id(schema, table, self._pipeline.schemas[0])
        return TableOfRun(f"{schema}.{table}", table_id, state, reason)

    def _now(self, table: TableOfRun, there: set[str]) -> TableOfRun:
        if table.state == FAILED:
            return table  # refused, and its table_id may be another's
        for state in _RECORDS:
            record = f"{self._folder}{state}/{table.table_id}.json"
            if record in there:
                reason = self._reason(record) if state in {HELD, FAILED, SKIPPED} else None
                return TableOfRun(table.table, table.table_id, state, reason)
        return table

    def _reason(self, record: str) -> str:
        """What a record says: `reason`, or in those of the exports and loads, `error`."""
        if record not in self._reasons:
            found = self._bucket.read(record)
            content = json.loads(found[0]) if found else {}
            self._reasons[record] = content.get("reason") or content.get("error") or "nobody says why"
        return self._reasons[record]
