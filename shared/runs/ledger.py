"""The ledger: a line for each table of each run that is over, in a table of BigQuery that people query."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from shared import bucket as paths
from shared.bucket import Bucket
from shared.pipelines import Pipeline
from shared.runs import records
from shared.runs.manifest import Manifest

TABLE = "ledger"
COLUMNS = {
    "run_id": "STRING",
    "pipeline": "STRING",
    "schema": "STRING",
    "table": "STRING",
    "table_id": "STRING",
    "outcome": "STRING",
    "reason": "STRING",
    "snapshot": "STRING",
    "shard_date": "DATE",
    "row_count": "INT64",
    "bytes": "INT64",
    "exported_at": "TIMESTAMP",
    "shown_at": "TIMESTAMP",
    "lost_columns": "STRING",
}
"""Its columns and their types. Each may be NULL, but for those that are `REPEATED`."""
REPEATED = frozenset({"lost_columns"})
_AT_ONCE = 16
"""Records that are read at the same time."""

Line = Mapping[str, Any]


class Ledger(Protocol):
    """The table."""

    def append(self, job_id: str, lines: Sequence[Line]) -> None:
        """
        Append lines, once for each job id, however often that is asked for.

        Raises Busy if the same call may succeed later, Denied if it may once something is granted or made, and Permanent if not.
        """


def job_id(pipeline: Pipeline, run_id: str) -> str:
    """The id of the job that appends a run's lines."""
    return f"mirror_ledger_{_digest(pipeline.name, run_id)}"


def job_id_of_table(pipeline: Pipeline, run_id: str, table_id: str, end: str) -> str:
    """The id of the job that appends the line of one table that has come to another end since its run was over."""
    attempt = len(records.ENDS) - records.ENDS.index(end)
    return f"mirror_ledger_{_digest(pipeline.name, run_id, table_id)}_{attempt}"


def lines(bucket: Bucket, pipeline: Pipeline, run: Manifest, ends: Mapping[str, Sequence[str]]) -> list[Line]:
    """The lines of a run, each table of which has come to one of these ends, and of those that cannot be mirrored."""
    listed = bucket.listing(paths.run_folder(pipeline.name, run.run_id))
    marks = {each.name: each.marks for each in listed}
    end_of = {table_id: end for end, table_ids in ends.items() for table_id in table_ids}

    def line(known: tuple[str, Mapping[str, Any]]) -> Line:
        table_id, entry = known
        return _line(bucket, pipeline, run, table_id, entry, end_of[table_id], lambda name: marks.get(name, {}))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(line, run.by_id(pipeline).items()))
    return found + [_refused(pipeline, run, each) for each in run.refused]


def line_of_table(
    bucket: Bucket, pipeline: Pipeline, run: Manifest, table_id: str, entry: Mapping[str, Any], end: str
) -> Line:
    """The line of one table of a run, whose manifest has this entry of it."""

    def marks(name: str) -> Mapping[str, str]:
        found = bucket.stat(name)
        return found.marks if found else {}

    return _line(bucket, pipeline, run, table_id, entry, end, marks)


def _line(
    bucket: Bucket,
    pipeline: Pipeline,
    run: Manifest,
    table_id: str,
    entry: Mapping[str, Any],
    end: str,
    marks: Callable[[str], Mapping[str, str]],
) -> Line:
    record = records.find(bucket, pipeline, run.run_id, end, table_id) or {}
    is_shown = end == records.SHOWN
    exported = {} if is_shown else records.find(bucket, pipeline, run.run_id, records.EXPORTED, table_id) or {}
    marked = marks(paths.record_file(pipeline.name, run.run_id, end, table_id))
    return _of(pipeline, run, entry) | {
        "table_id": table_id,
        "outcome": end,
        "reason": record.get("reason") or record.get("error"),
        "snapshot": marked.get("snapshot") or exported.get("snapshot"),
        "row_count": record.get("row_count"),
        "bytes": record.get("bytes") if is_shown else exported.get("bytes"),
        "exported_at": marked.get("exported_at"),
        "shown_at": record.get("shown_at"),
        "lost_columns": record.get("lost_columns", []),
    }


def _refused(pipeline: Pipeline, run: Manifest, refused: Mapping[str, str]) -> Line:
    return _of(pipeline, run, refused) | {
        "table_id": pipeline.table_id(refused["schema"], refused["table"]),
        "outcome": records.FAILED,
        "reason": refused["reason"],
        "lost_columns": [],
    }


def _of(pipeline: Pipeline, run: Manifest, table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "pipeline": pipeline.name,
        "schema": table["schema"],
        "table": table["table"],
        "shard_date": run.day.isoformat(),
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
