"""Have the ledger note what became of a run, once it is over. Whatever comes of that, nobody waits for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import log
from shared.bucket import Bucket
from shared.errors import Busy, Denied, HandBack, Permanent
from shared.messages.outcome import Outcome, Subject
from shared.pipelines import Pipeline
from shared.runs import ledger, manifest, records
from shared.runs.ledger import Ledger
from shared.runs.manifest import Manifest


def record(pipeline: Pipeline, to: Ledger | None, bucket: Bucket, said: Mapping[str, Any]) -> bool:
    """Append the lines of a run that is over. Give False if that is to be tried again."""
    run = _told(bucket, pipeline, said) if to else None
    if not to or not run:
        return True
    ends = {end: said[end] for end in records.ENDS}
    return _append(
        to, ledger.job_id(pipeline, run.run_id), pipeline, run, lambda: ledger.lines(bucket, pipeline, run, ends)
    )


def record_mended(
    bucket: Bucket,
    pipeline: Pipeline,
    said: Mapping[str, Any],
    ends: Mapping[str, str],
    to: Ledger,
    *,
    is_owed: bool,
) -> bool:
    """
    Append a line for each table that has come to a better end than is said of it. Give False if one is to be tried again.

    Raises HandBack for that if nobody else would try (`is_owed` is false).
    """
    better = {
        table_id: end
        for table_id, end in ends.items()
        if _rank(end) < min((_rank(each) for each in records.ENDS if table_id in said[each]), default=_rank(end))
    }
    run = _told(bucket, pipeline, said) if better else None
    if not run:
        return True
    recorded = [_record_again(bucket, pipeline, run, *each, to, is_owed=is_owed) for each in better.items()]
    return all(recorded)


def _told(bucket: Bucket, pipeline: Pipeline, said: Mapping[str, Any]) -> Manifest | None:
    """
    The run that is told of. None if it is not on record any more, or its tables have other ids than when it was told.

    They have if the pipeline has got another first schema. If it has before the run was told, this does not see it.
    """
    run = manifest.find(bucket, pipeline, said["run_id"])
    told = {table_id for end in records.ENDS for table_id in said[end]}
    return run if run and run.table_ids(pipeline) <= told else None


def _rank(end: str) -> int:
    return records.ENDS.index(end)


def _record_again(
    bucket: Bucket, pipeline: Pipeline, run: Manifest, table_id: str, end: str, to: Ledger, *, is_owed: bool
) -> bool:
    line = ledger.line_of_table(bucket, pipeline, run, table_id, end)
    if not line:
        return True
    job_id = ledger.job_id_of_table(pipeline, run.run_id, table_id, end)
    return _append(to, job_id, pipeline, run, lambda: [line], is_owed=is_owed)


def _append(
    to: Ledger,
    job_id: str,
    pipeline: Pipeline,
    run: Manifest,
    lines: Callable[[], Sequence[ledger.Line]],
    *,
    is_owed: bool = True,
) -> bool:
    """
    Append lines, whatever comes of it: nobody waits for the ledger. Give False if that is to be tried again.

    Raises HandBack for that if nobody else would try (`is_owed` is false).
    """
    about = Subject(pipeline.name, shard_date=run.day, run_id=run.run_id)
    try:
        to.append(job_id, lines())
    except (Busy, Denied, Permanent) as failure:
        is_final = isinstance(failure, Permanent)
        said = f"the run is not in the ledger{'' if is_final else ' yet'}: {failure}"
        log.write(
            "ledger", Outcome("waiting", said, about, "WARNING" if isinstance(failure, Busy) else "ERROR").to_json()
        )
        if isinstance(failure, Busy) and not is_owed:
            raise HandBack(said) from failure
        return is_final
    return True
