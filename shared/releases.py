"""
Days that are released whole: the views of a run move when every table of it has its shard, or is known to have failed.

The bucket is the record: the schema file of a shard's data says which run made it, that run's manifest lists its tables, and
its folder says which of them have failed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock

from shared import names, runs, schema_file, times
from shared.pipelines import Pipeline
from shared.shards import Shard


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its manifest lists it, and what has become of it: the tables that failed, and those that are silent."""

    run_id: str
    day: date
    requested_at: datetime
    tables: frozenset[str]
    failed: frozenset[str]
    silent: frozenset[str]

    @property
    def is_whole(self) -> bool:
        return not self.silent

    @property
    def shards(self) -> list[Shard]:
        """What it is to bring, but for what has failed."""
        return [Shard(table_id, self.day) for table_id in sorted(self.tables - self.failed)]


class Releases:
    """What may be shown of a pipeline, given the shards that are there. Each run is looked up once."""

    def __init__(self, pipeline: Pipeline, bucket: runs.Bucket, present: Collection[Shard], now: datetime) -> None:
        self._pipeline = pipeline
        self._bucket = bucket
        self._present = present
        self._now = now
        self._runs: dict[Shard, Run | None] = {}
        self._lock = Lock()

    def run_of(self, shard: Shard) -> Run | None:
        """The run that made a shard; None where its files are gone, as they are after a while."""
        if shard not in self._runs:
            found = self._bucket.read(names.schema_file(self._pipeline.name, shard.table_id, shard.day))
            seal = schema_file.read(found[0]) if found else None
            run = self._read(runs.manifest_file(self._pipeline.name, seal.run_id)) if seal else None
            self._runs |= dict.fromkeys(run.shards, run) if run else {}
            self._runs[shard] = run
        return self._runs[shard]

    def is_released(self, shard: Shard) -> bool:
        """Whether the run that made a shard is whole."""
        with self._lock:  # several views ask at once, mostly about one run
            run = self.run_of(shard)
        return not run or run.is_whole

    def whole(self) -> list[Run]:
        """The whole ones of the runs that were looked up."""
        return list({run.run_id: run for run in self._runs.values() if run and run.is_whole}.values())

    def end_silent_runs(self) -> None:
        """See that the whole-database runs of the last days end, even where they brought nothing that led here."""
        zone = self._pipeline.time_zone
        for back in (0, 1, 2):
            day = times.day_in(zone, self._now - back * runs.SILENT_AFTER)
            self._read(runs.newest_manifest_file(self._pipeline.name, day))

    def _read(self, manifest_file: str) -> Run | None:
        found = self._bucket.read(manifest_file)
        if not found:
            return None
        manifest = runs.read_manifest(found[0])
        name, tables = self._pipeline.name, manifest.table_ids(self._pipeline)
        with_shard = {table_id for table_id in tables if Shard(table_id, manifest.day) in self._present}
        prefix = runs.failed_file(name, manifest.run_id)
        recorded = {each.removeprefix(prefix).removesuffix(".json") for each in self._bucket.names(prefix)}
        failed, silent = recorded - with_shard, tables - with_shard - recorded
        if manifest.requested_at + runs.SILENT_AFTER <= self._now:
            runs.record_silence(self._bucket, name, manifest.run_id, silent)
            failed, silent = failed | silent, set()
        return Run(
            run_id=manifest.run_id,
            day=manifest.day,
            requested_at=manifest.requested_at,
            tables=frozenset(tables),
            failed=frozenset(failed),
            silent=frozenset(silent),
        )
