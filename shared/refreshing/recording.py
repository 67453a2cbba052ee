"""Write down, for the run whose rows a shard has, what became of the shard: its view shows it, or something keeps the view elsewhere."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shared import bucket as paths
from shared import times
from shared.bucket import Bucket
from shared.pipelines import Pipeline
from shared.refreshing.bigquery_events import OURS
from shared.refreshing.moving import Moved, Refused, Stayed
from shared.refreshing.services import RefreshServices
from shared.refreshing.sweep import AT_ONCE, Results
from shared.refreshing.views import ShardState
from shared.runs import announcing, progress, records, schema_file
from shared.runs.progress import Progress
from shared.runs.schema_file import Seal, pair_of
from shared.tables import Shard

RELEASES = (records.LOADED, *records.ENDS)
"""What is on record of a table that the release of its run no longer waits for."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A table of a run that has come to its end."""

    run_id: str
    table_id: str
    end: str


class Recorder:
    """Writes into the records of a pipeline's runs. `job_id`: of the job of BigQuery that an event tells of, if one does."""

    def __init__(self, pipeline: Pipeline, services: RefreshServices, job_id: str = "") -> None:
        self._pipeline = pipeline
        self._services = services
        self._bucket: Bucket = services.storage.bucket(pipeline.bucket)
        self._job_id = job_id

    def sealed_by(self, shard: Shard) -> str | None:
        """The run that has sealed the pair of a shard. None if there is no seal any more."""
        seal = self._seal(shard)
        return seal.run_id if seal else None

    def run_of(self, shard: Shard) -> str | None:
        """The run whose rows the event's job has loaded, where that is known. It is on record that they are there."""
        seal = self._seal(shard)
        if not seal or not self._is_of_job(seal, shard):
            return None
        name = paths.record_file(self._pipeline.name, seal.run_id, records.LOADED, shard.table_id)
        records.write_once(self._bucket, name, {"job": self._job_id})
        return seal.run_id

    def after_event(self, shard: Shard, result: object) -> None:
        """An event has told of a shard: write down what became of it, and say what is due then."""
        if ended := self._record(shard, result):
            announcing.after_end(
                self._bucket, self._pipeline, ended.run_id, ended.table_id, ended.end, self._services.listeners
            )

    def after_sweep(self, shards: Sequence[Shard], results: Results, claimant: str, cut_short: str = "") -> None:
        """
        Views have been moved: write down what became of these shards, and say what is due then.

        `cut_short`: a run whose views are not released.
        """
        of_run: dict[str, dict[str, str]] = {}
        for each in self._recorded(shards, results, cut_short):
            of_run.setdefault(each.run_id, {})[each.table_id] = each.end
        for run_id, ends in of_run.items() if self._services.listeners.of_days else ():
            announcing.after_ends(self._bucket, self._pipeline, run_id, ends, claimant, self._services.listeners)

    def judge(self, run: Progress, present: Mapping[Shard, object], results: Results) -> Mapping[str, str]:
        """Write down what became of tables of a run that are open, and whose shards are there."""
        found = (Shard(table_id, run.manifest.day) for table_id in sorted(run.open))
        shards = [each for each in found if each in present and each.table_id in results]
        known = progress.of_shards(run.manifest, self._pipeline, run.known, present.keys())
        is_kept = self._pipeline.release == "together" and known.is_cut_short and not known.unloaded
        recorded = self._recorded(shards, results, run.run_id if is_kept else "")
        ends = {each.table_id: each.end for each in recorded if each.run_id == run.run_id}
        waiting = sorted(run.open & run.exported & {each.table_id for each in shards} - ends.keys())
        return ends | {table_id: records.HELD for table_id in waiting if self._is_anothers(run, table_id)}

    def _recorded(self, shards: Sequence[Shard], results: Results, cut_short: str = "") -> list[_Ended]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda shard: self._record(shard, results.get(shard.table_id), cut_short), shards)
            return [each for each in found if each]

    def _record(self, shard: Shard, result: object, cut_short: str = "") -> _Ended | None:
        """Write down what became of a shard. None if nothing final did, or it is not known whose rows it has."""
        held, is_shown = _held(shard, result), _shown(result) == shard
        seal = self._seal(shard) if held or is_shown or cut_short else None
        if seal and seal.run_id == cut_short and isinstance(result, Stayed):
            held = held or progress.cut_short(cut_short)
        if not seal or not (held or is_shown):
            return None
        state = result.state if isinstance(result, Moved | Stayed) and is_shown else None
        state = state or self._services.bigquery.shard(self._pipeline.shards_dataset, shard)
        if not state or not self._is_of(seal, shard, state):
            return None
        losses = result.losses if isinstance(result, Moved | Stayed) else ()
        end = records.SHOWN if is_shown else records.HELD
        content = self._of_shown(shard, state, losses, seal) if is_shown else {"reason": held}
        name = paths.record_file(self._pipeline.name, seal.run_id, end, shard.table_id)
        marks = {"exported_at": times.rfc3339(seal.exported_at), "snapshot": seal.snapshot or ""}
        records.write_once(self._bucket, name, content, marks)
        return _Ended(seal.run_id, shard.table_id, end)

    def _of_shown(self, shard: Shard, state: ShardState, losses: Sequence[str], seal: Seal) -> dict[str, object]:
        data = self._bucket.stat(paths.object_name(self._pipeline.bucket, seal.data_uri))
        return {
            "shard": shard.name,
            "row_count": state.rows,
            "bytes": data.size if data and data.generation == seal.data_generation else None,
            "shown_at": times.rfc3339(self._services.clock.now()),
            "lost_columns": list(losses),
        }

    def _seal(self, shard: Shard) -> Seal | None:
        found = self._bucket.read(paths.schema_file(self._pipeline.name, shard.table_id, shard.day))
        return schema_file.read(found[0]) if found else None

    def _is_of(self, seal: Seal, shard: Shard, state: ShardState) -> bool:
        """Whether a shard has the rows of the pair that is sealed, and not those of an earlier one still."""
        if self._pipeline.loader != "bigquery":
            return state.changed_at > seal.exported_at
        if self._job_id:
            return self._is_of_job(seal, shard)
        return progress.has_come_to((records.LOADED,), self._bucket, self._pipeline, seal.run_id, shard.table_id)

    def _is_of_job(self, seal: Seal, shard: Shard) -> bool:
        """Whether the job may have loaded the pair. One of load_shard's says which pair it loads."""
        ours = OURS.fullmatch(self._job_id)
        return not ours or ours["pair"] == pair_of(seal.run_id, shard.table_id)

    def _is_anothers(self, run: Progress, table_id: str) -> bool:
        """Whether a later run has the pair of a table. It is on record then that this one's is not shown."""
        shard = Shard(table_id, run.manifest.day)
        seal = self._seal(shard)
        if not seal or not seal.outranks(run.run_id, run.manifest.requested_at):
            return False
        name = paths.record_file(self._pipeline.name, run.run_id, records.HELD, table_id)
        records.write_once(self._bucket, name, {"reason": f"{shard.name} is the run {seal.run_id}'s"})
        return True


def _shown(result: object) -> Shard | None:
    return result.shown if isinstance(result, Moved | Stayed) else None


def _held(shard: Shard, result: object) -> str:
    """Why a view does not show a shard, nor will by itself. Empty if it may still."""
    if isinstance(result, Refused):
        return result.reason
    if not isinstance(result, Moved | Stayed):
        return ""
    if isinstance(result, Stayed) and result.is_pinned and result.shown:
        return f"the view {shard.table_id} is pinned to {result.shown.day}"
    if result.shown and result.shown.day > shard.day:
        return f"the view {shard.table_id} shows {result.shown.name}, which is newer"
    return result.shrunk
