"""Have the ledger note what became of a run, once it is over. Whatever comes of that, nobody waits for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import log
from shared.bucket import Bucket
from shared.errors import Busy, Denied, Permanent
from shared.messages.outcome import Outcome, Subject
from shared.pipelines import Pipeline
from shared.runs import digests, ledger, manifest, records
from shared.runs.ledger import Ledger
from shared.runs.manifest import Manifest


def record(pipeline: Pipeline, to: Ledger | None, bucket: Bucket, said: Mapping[str, Any]) -> bool:
    """Append the lines of a run that is over. Give False if that is to be tried again."""
    run = _noted(bucket, pipeline, said) if to else None
    if not to or not run:
        return True
    ends = {end: said[end] for end in records.ENDS}
    return _append(
        to, ledger.job_id(pipeline, run.run_id), pipeline, run, lambda: ledger.lines(bucket, pipeline, run, ends)
    )


def record_mended(
    bucket: Bucket, pipeline: Pipeline, said: Mapping[str, Any], ends: Mapping[str, str], to: Ledger | None
) -> bool:
    """Append a line for each table that has come to a better end than is said of it. Give False if one is to be tried again."""
    better = {
        table_id: end
        for table_id, end in ends.items()
        if _rank(end) < min((_rank(each) for each in records.ENDS if table_id in said[each]), default=_rank(end))
    }
    run = _noted(bucket, pipeline, said) if to and better else None
    if not to or not run:
        return True
    entries = run.by_id(pipeline)
    recorded = [
        _record_again(bucket, pipeline, run, table_id, entries[table_id], end, to)
        for table_id, end in better.items()
        if table_id in entries  # one that cannot be mirrored has its line
    ]
    return all(recorded)


def _noted(bucket: Bucket, pipeline: Pipeline, said: Mapping[str, Any]) -> Manifest | None:
    """
    The run, if the ledger is to have lines of it. None if it is not on record any more, or its tables have other ids by now.

    They have if the pipeline has got another first schema since. Then nobody knows which table an id meant.
    """
    run = manifest.find(bucket, pipeline, said["run_id"])
    known = digests.find(bucket, pipeline, said["run_id"])
    if not run or not known:
        return None
    told = {table_id for end in records.ENDS for table_id in said[end]}
    if known.tables.keys() == run.table_ids(pipeline) <= told:
        return run
    reason = "the run gets no lines in the ledger: its tables have other ids by now, as the pipeline has another first schema"
    log.write("ledger", Outcome("waiting", reason, _about(pipeline, run), "WARNING").to_json())
    return None


def _rank(end: str) -> int:
    return records.ENDS.index(end)


def _record_again(
    bucket: Bucket, pipeline: Pipeline, run: Manifest, table_id: str, entry: Mapping[str, Any], end: str, to: Ledger
) -> bool:
    job_id = ledger.job_id_of_table(pipeline, run.run_id, table_id, end)
    return _append(
        to, job_id, pipeline, run, lambda: [ledger.line_of_table(bucket, pipeline, run, table_id, entry, end)]
    )


def _append(
    to: Ledger, job_id: str, pipeline: Pipeline, run: Manifest, lines: Callable[[], Sequence[ledger.Line]]
) -> bool:
    """Append lines, whatever comes of it. Give False if that is to be tried again."""
    try:
        to.append(job_id, lines())
    except (Busy, Denied, Permanent) as failure:
        is_final = isinstance(failure, Permanent)
        said = f"the run is not in the ledger{'' if is_final else ' yet'}: {failure}"
        severity = "WARNING" if isinstance(failure, Busy) else "ERROR"
        log.write("ledger", Outcome("waiting", said, _about(pipeline, run), severity).to_json())
        return is_final
    return True


def _about(pipeline: Pipeline, run: Manifest) -> Subject:
    return Subject(pipeline.name, shard_date=run.day, run_id=run.run_id)
