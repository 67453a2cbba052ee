"""
When the views of a run may move, where they are released together: when each of its tables has its shard, or has failed.

The bucket is the record. The schema file of a shard's data says which run made it. That run's manifest lists its tables, and
its folder says which of them have failed.
"""

from collections.abc import Collection
from datetime import datetime
from threading import Lock

from shared.bucket import Bucket, schema_file
from shared.pipelines import Pipeline
from shared.runs import manifest, progress
from shared.runs import schema_file as seals
from shared.runs.lanes import Lane
from shared.runs.manifest import Manifest
from shared.runs.progress import Progress
from shared.tables import Shard


class Releases:
    """What may be shown of a pipeline, given the shards that are there. Each run is looked up once."""

    def __init__(
        self,
        pipeline: Pipeline,
        bucket: Bucket,
        present: Collection[Shard],
        now: datetime,
        lane: Lane,
    ) -> None:
        self._lane = lane
        self._pipeline = pipeline
        self._bucket = bucket
        self._present = present
        self._now = now
        self._runs: dict[Shard, Progress | None] = {}
        self._looked_at: dict[str, Progress] = {}
        self._lock = Lock()

    def run_of(self, shard: Shard) -> Progress | None:
        """The run that made a shard. None if its files are gone, as they are after a while."""
        if shard not in self._runs:
            found = self._bucket.read(schema_file(self._pipeline.name, shard.table_id, shard.day))
            seal = seals.read(found[0]) if found else None
            listed = manifest.find(self._bucket, self._pipeline, seal.run_id) if seal else None
            run = self._look(listed) if listed else None
            self._runs |= dict.fromkeys(run.shards, run) if run else {}
            self._runs[shard] = run
        return self._runs[shard]

    def is_released(self, shard: Shard) -> bool:
        """Whether the run that made a shard is complete."""
        with self._lock:  # several views ask at once, mostly about one run
            run = self.run_of(shard)
        return not run or run.is_whole

    def complete(self) -> list[Progress]:
        """The complete ones of the runs that were looked up."""
        return list({run.run_id: run for run in self._runs.values() if run and run.is_whole}.values())

    def end_silent_runs(self) -> None:
        """See that the whole-database runs of the last days end, even where they brought nothing that led here."""
        for listed in manifest.of_last_days(self._bucket, self._pipeline, self._now):
            self._look(listed)

    def _look(self, listed: Manifest) -> Progress:
        if listed.run_id not in self._looked_at:
            self._looked_at[listed.run_id] = self._look_at_folder(listed)
        return self._looked_at[listed.run_id]

    def _look_at_folder(self, listed: Manifest) -> Progress:
        known, turn = progress.look(self._bucket, listed, self._pipeline)
        run = progress.of_shards(listed, self._pipeline, known.known, self._present)
        if run.unloaded and self._lane.is_silent(turn):
            return progress.end_silence(self._bucket, self._pipeline, run, run.unloaded)
        return run
