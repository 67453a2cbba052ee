"""What has become of a run: which of its tables have arrived, have failed, or are silent."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import bucket as paths
from shared.bucket import Bucket
from shared.pipelines import Pipeline
from shared.runs import records
from shared.runs.manifest import Manifest
from shared.tables import Shard

SILENT_AFTER = timedelta(hours=24)
"""Since the request. A table of which nothing has come by then counts as failed, so that every run ends."""

Settled = dict[str, set[str]]
"""The ids of the tables that were `exported`, have `failed`, or were `skipped`. One may be in more than one of them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """
    A run's tables by what has become of them.

    `arrived`: exported, or in a shard, by what was asked. `failed`: those that have not arrived and are known to have failed.
    `silent`: those of which nothing is known yet.
    """

    manifest: Manifest
    tables: frozenset[str]
    arrived: frozenset[str]
    failed: frozenset[str]
    silent: frozenset[str]

    @property
    def run_id(self) -> str:
        return self.manifest.run_id

    @property
    def is_complete(self) -> bool:
        """Whether something is known of every table."""
        return not self.silent

    @property
    def shards(self) -> list[Shard]:
        """The shards that the run brings: one for each table that has not failed."""
        return [Shard(table_id, self.manifest.day) for table_id in sorted(self.tables - self.failed)]


def settled(bucket: Bucket, pipeline: Pipeline, run_id: str, only: str = "") -> Settled:
    """What is written down of a run's tables, by one list of its folder, or of the folder of `only` one of the three."""
    found: Settled = {how: set() for how in records.SETTLED}
    prefix = paths.run_folder(pipeline.name, run_id)
    for name in bucket.names(f"{prefix}{only}/" if only else prefix):
        how, _, file = name.removeprefix(prefix).partition("/")
        if how in found:
            found[how].add(file.removesuffix(".json"))
    return found


def of_exports(manifest: Manifest, pipeline: Pipeline, known: Settled) -> Progress:
    """How far the exports of a run are."""
    return _progress(
        manifest,
        pipeline,
        arrived=known[records.EXPORTED],
        failed=known[records.FAILED],
        skipped=known[records.SKIPPED],
    )


def of_shards(manifest: Manifest, pipeline: Pipeline, known: Settled, present: Collection[Shard]) -> Progress:
    """How far the shards of a run are, given those that are there."""
    tables = manifest.table_ids(pipeline)
    arrived = {table_id for table_id in tables if Shard(table_id, manifest.day) in present}
    return _progress(manifest, pipeline, arrived=arrived, failed=known[records.FAILED])


def has_had_its_time(manifest: Manifest, now: datetime) -> bool:
    """Whether nothing more is to be expected of a run: Pub/Sub has given up on what it has not delivered."""
    return manifest.requested_at + SILENT_AFTER <= now


def end_silence(bucket: Bucket, pipeline: Pipeline, run: Progress) -> Progress:
    """Write down that the silent tables of a run have failed, and give the run as it is then."""
    reason = f"nothing has come of it {SILENT_AFTER.total_seconds() / 3600:g} hours after the run was requested"
    for table_id in sorted(run.silent):
        name = paths.record_file(pipeline.name, run.run_id, records.FAILED, table_id)
        records.write_once(bucket, name, {"function": "refresh_views", "error": reason})
    return replace(run, failed=run.failed | run.silent, silent=frozenset())


def _progress(
    manifest: Manifest,
    pipeline: Pipeline,
    *,
    arrived: Collection[str],
    failed: Collection[str],
    skipped: Collection[str] = (),
) -> Progress:
    tables = manifest.table_ids(pipeline)
    here = tables.intersection(arrived)
    return Progress(
        manifest=manifest,
        tables=tables,
        arrived=here,
        failed=frozenset(failed) - here,
        silent=tables.difference(here, failed, skipped),
    )
