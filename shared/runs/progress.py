"""
What has become of a run: the one owner of that, whoever asks.

    exported  its pair is sealed and announced        ┐ its export has settled: `run-exported`
    failed, skipped                                   ┘
    loaded    its shard is complete                     its views may be released together
    shown     its view shows the shard                ┐
    held      something keeps the view elsewhere      │ it has come to its end: `run-shown`, the ledger
    failed, skipped                                   ┘

Each word is a folder beside the run's manifest, with a record for each table of which it is true. A list of the run's folder
tells it all. A table of which nothing comes for too long is recorded as failed, so that every run ends.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import bucket as paths
from shared.bucket import Bucket, Listed
from shared.pipelines import Pipeline
from shared.runs import records
from shared.runs.manifest import Manifest
from shared.tables import Shard

SILENT_AFTER = timedelta(hours=24)
"""Since the last sign of life. A table of which nothing has come by then counts as failed, so that every run ends."""
STOPPED = "stopped.json"
"""On record of a run that somebody has stopped, of none of its tables."""
KINDS = (*records.SETTLED, records.LOADED, records.SHOWN, records.HELD, STOPPED)
SILENT = {"silent": "true"}
"""The mark of a failure that is written down because of silence: it is no sign of life."""
_SIGNS_OF_LIFE = ("manifest.json", *records.SETTLED, "relisted", "snapshots")
"""Of a lane: what its functions write down of a run. It may be listed long after its request, by a replay."""

Settled = Mapping[str, Set[str]]
"""The ids of the tables by what is on record of them, one of `KINDS`. One may be in more than one of them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A run's turn in its lane: when it was listed, and when it gave its last sign of life."""

    listed_at: datetime
    last_sign: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's tables by what has become of them."""

    manifest: Manifest
    tables: frozenset[str]
    known: Settled

    @property
    def run_id(self) -> str:
        return self.manifest.run_id

    @property
    def exported(self) -> Set[str]:
        return self.known[records.EXPORTED] & self.tables

    @property
    def not_exported(self) -> Set[str]:
        """Those that have failed and were not exported, tables that cannot be mirrored among them."""
        return self.known[records.FAILED] - self.exported

    @property
    def unexported(self) -> Set[str]:
        """Those whose exports have not settled."""
        return self.tables - self._all_of(records.SETTLED)

    @property
    def unloaded(self) -> Set[str]:
        """Those that may still come to have their shard."""
        return self.tables - self._all_of((records.LOADED, *records.ENDS))

    @property
    def is_cut_short(self) -> bool:
        """Whether it was stopped, and tables that it had not begun have no shard. Its day comes to be whole by another run only."""
        skipped = self.known[records.SKIPPED] & self.tables
        return bool(self.known[STOPPED] and skipped - self._all_of((records.LOADED, records.SHOWN, records.HELD)))

    @property
    def is_whole(self) -> bool:
        """Whether its views may be released together."""
        return not self.unloaded and not self.is_cut_short

    @property
    def missing(self) -> Set[str]:
        """Those whose shards do not come: they have failed."""
        return self.known[records.FAILED] - self._all_of((records.LOADED, records.SHOWN, records.HELD))

    @property
    def shards(self) -> list[Shard]:
        """The shards that the run brings: one for each table that has not failed."""
        return [Shard(table_id, self.manifest.day) for table_id in sorted(self.tables - self.missing)]

    @property
    def ends(self) -> Mapping[str, list[str]]:
        """Those that have come to their ends, by these, sorted. Each is in one of them."""
        found, taken = {}, set[str]()
        for end in records.ENDS:
            found[end] = sorted(self.known[end] - taken)
            taken |= self.known[end]
        return found

    @property
    def open(self) -> Set[str]:
        """Those that have not come to their end."""
        return self.tables - self._all_of(records.ENDS)

    def with_more(self, kind: str, table_ids: Iterable[str]) -> "Progress":
        """The same, with this known of some tables more."""
        return Progress(self.manifest, self.tables, {**self.known, kind: {*self.known[kind], *table_ids}})

    def _all_of(self, kinds: Iterable[str]) -> Set[str]:
        return frozenset().union(*(self.known[kind] for kind in kinds))


def settled(bucket: Bucket, pipeline: Pipeline, run_id: str) -> Settled:
    """What is on record of a run's tables, by one list of its folder."""
    return _by_kind(bucket.names(paths.run_folder(pipeline.name, run_id)))


def of_run(manifest: Manifest, pipeline: Pipeline, known: Settled) -> Progress:
    """How far a run is."""
    return Progress(manifest, manifest.table_ids(pipeline), known)


def of_shards(manifest: Manifest, pipeline: Pipeline, known: Settled, present: Collection[Shard]) -> Progress:
    """How far a run is, where the shards that are there count as loaded."""
    run = of_run(manifest, pipeline, known)
    return run.with_more(records.LOADED, [each for each in run.tables if Shard(each, manifest.day) in present])


def look(bucket: Bucket, manifest: Manifest, pipeline: Pipeline) -> tuple[Progress, Turn]:
    """How far a run is, and its turn in the lane, by one list of its folder."""
    listed = bucket.listing(paths.run_folder(pipeline.name, manifest.run_id))
    run = of_run(manifest, pipeline, _by_kind(each.name for each in listed))
    return run, turn_of(listed) or Turn(manifest.requested_at, manifest.requested_at)


def turn_of(folder: Iterable[Listed]) -> Turn | None:
    """The turn of a run whose folder holds this. None if the run is not on record."""
    written = [(paths.within_run(each.name).partition("/")[0], each) for each in folder]
    signs = [each.written_at for kind, each in written if kind in _SIGNS_OF_LIFE and each.marks != SILENT]
    listed_at = next((each.written_at for kind, each in written if kind == "manifest.json"), None)
    return Turn(listed_at, max(signs)) if listed_at else None


def has_come_to(kinds: Iterable[str], bucket: Bucket, pipeline: Pipeline, run_id: str, table_id: str) -> bool:
    """Whether one of these is on record of a table of a run."""
    files = (paths.record_file(pipeline.name, run_id, kind, table_id) for kind in kinds)
    return any(bucket.stat(file) for file in files)


def cut_short(run_id: str) -> str:
    """Why the views of a run that was cut short are not released together."""
    return f"the run {run_id} was stopped, and its day is not whole"


def has_had_its_time(last_sign: datetime, now: datetime) -> bool:
    """Whether nothing more is to be expected of what gave its last sign of life then."""
    return last_sign + SILENT_AFTER <= now


def end_silence(bucket: Bucket, pipeline: Pipeline, run: Progress, silent: Set[str]) -> Progress:
    """Write down that silent tables of a run have failed, and give the run as it is then."""
    reason = (
        f"nothing has come of it {SILENT_AFTER.total_seconds() / 3600:g} hours after the last sign of life in its lane"
    )
    for table_id in sorted(silent):
        name = paths.record_file(pipeline.name, run.run_id, records.FAILED, table_id)
        records.write_once(bucket, name, {"function": "refresh_views", "error": reason}, SILENT)
    return run.with_more(records.FAILED, silent)


def _by_kind(names: Iterable[str]) -> Settled:
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for name in names:
        kind, _, file = paths.within_run(name).partition("/")
        if kind in found:
            found[kind].add(file.removesuffix(".json"))
    return found
