"""What becomes of a run's tables, by the records in its folder of the bucket."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from shared import bucket as paths
from shared.bucket import Bucket
from shared.listing import wanted
from shared.pipelines import Pipeline
from shared.runs import manifest
from shared.runs.manifest import Manifest
from shared.runs.records import ENDS, EXPORTED, FAILED, HELD, LOADED, SKIPPED

WAITING = "waiting"
_RECORDS = (*ENDS, LOADED, EXPORTED)
"""The folders of records, in the order in which they count."""
OVER = frozenset(ENDS)
_AT_ONCE = 16
"""Records that are read at the same time."""


@dataclass(frozen=True, slots=True)
class TableOfRun:
    """
    A table of a run: its schema and name at the source, its id in BigQuery, how far it is, and why it is no further.

    `function`: which one says so. None of a table that cannot be mirrored, and of one that is held.
    """

    schema: str
    name: str
    table_id: str
    state: str = WAITING
    reason: str | None = None
    function: str | None = field(default=None, compare=False)

    @property
    def table(self) -> str:
        """Its name with its schema. No two tables have the same."""
        return wanted.label((self.schema, self.name))

    def to_json(self) -> dict[str, str | None]:
        return {"table": self.table, "table_id": self.table_id, "state": self.state, "reason": self.reason}


class Run:
    """A run of a pipeline, seen from outside. `manifest` is None until it is found by a look."""

    def __init__(self, bucket: Bucket, pipeline: Pipeline, run_id: str) -> None:
        self._bucket = bucket
        self._pipeline = pipeline
        self._run_id = run_id
        self._folder = paths.run_folder(pipeline.name, run_id)
        self._tables: list[TableOfRun] = []
        self.manifest: Manifest | None = None
        self._stopped: dict[str, dict[str, Any]] = {}

    def look(self) -> list[TableOfRun] | None:
        """
        Its tables as they are now. None until it has a manifest.

        It costs one list, and one read for each table that has come to a stop since the last look. Raises what a bucket does.
        """
        there = set(self._bucket.names(self._folder))
        if self.manifest is None and paths.manifest_file(self._pipeline.name, self._run_id) in there:
            self.manifest = manifest.find(self._bucket, self._pipeline, self._run_id)
            self._tables = self._listed(self.manifest) if self.manifest else []
        if self.manifest is None:
            return None
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda table: self._now(table, there), self._tables))

    def _listed(self, run: Manifest) -> list[TableOfRun]:
        refused = [self._table(each, FAILED, each["reason"]) for each in run.refused]
        return [self._table(each) for each in run.tables] + refused

    def _table(self, entry: Mapping[str, str], state: str = WAITING, reason: str | None = None) -> TableOfRun:
        schema, name = entry["schema"], entry["table"]
        return TableOfRun(schema, name, self._pipeline.table_id(schema, name), state, reason)

    def _now(self, table: TableOfRun, there: set[str]) -> TableOfRun:
        if table.state == FAILED:
            return table  # refused, and its table_id may be another's
        for state in _RECORDS:
            record = f"{self._folder}{state}/{table.table_id}.json"
            if record in there:
                if state not in {HELD, FAILED, SKIPPED}:
                    return replace(table, state=state)
                said = self._said(record)
                reason = said.get("reason") or said.get("error") or "nobody says why"
                return replace(table, state=state, reason=reason, function=said.get("function"))
        return table

    def _said(self, record: str) -> dict[str, Any]:
        """What a record says: `reason`, or in those of the exports and loads, `error` and `function`."""
        if record not in self._stopped:
            found = self._bucket.read(record)
            self._stopped[record] = json.loads(found[0]) if found else {}
        return self._stopped[record]
