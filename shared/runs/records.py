"""What is written down of a table of a run: how it settled, and how it was described again."""

import json
from collections.abc import Mapping
from typing import Any

from shared import bucket as paths
from shared.bucket import Bucket
from shared.errors import LostRace
from shared.messages.exports import TableExport, TableOfRun
from shared.pipelines import Pipeline
from shared.redaction import one_line

EXPORTED, FAILED, SKIPPED = "exported", "failed", "skipped"
SETTLED = (EXPORTED, FAILED, SKIPPED)
"""How the export of a table can settle: each is a folder beside the manifest."""
LOADED, SHOWN, HELD = "loaded", "shown", "held"
"""What can come after: its shard is complete; its view shows it; something keeps the view elsewhere."""
ENDS = (SHOWN, HELD, FAILED, SKIPPED)
"""How a table of a run can end. One may have come to more than one of them: the first counts."""


def find(bucket: Bucket, pipeline: Pipeline, run_id: str, settled: str, table_id: str) -> dict[str, Any] | None:
    """What is written down of a table that settled so. None if it has not."""
    found = bucket.read(paths.record_file(pipeline.name, run_id, settled, table_id))
    return dict(json.loads(found[0])) if found else None


def record(bucket: Bucket, table: TableOfRun, settled: str, content: dict[str, Any]) -> None:
    """
    Write down how a table settled. What was written first stands, so that a redelivery changes nothing.

    Nothing is written of a canary whose run is gone: whoever has checked has removed it, and nobody comes again.
    """
    if table.check and not bucket.stat(paths.manifest_file(table.pipeline.name, table.run_id)):
        return
    write_once(bucket, paths.record_file(table.pipeline.name, table.run_id, settled, table.table_id), content)


def record_reason(bucket: Bucket, table: TableOfRun, settled: str, function: str, reason: str) -> None:
    """Write down, as `record` does, that a table failed or was skipped: which function says so, and why."""
    record(bucket, table, settled, {"function": function, "error": one_line(reason)})


def is_exported(bucket: Bucket, table: TableOfRun) -> bool:
    """Whether it is on record that a table was exported."""
    return bucket.stat(paths.record_file(table.pipeline.name, table.run_id, EXPORTED, table.table_id)) is not None


def clear_failure(bucket: Bucket, table: TableOfRun) -> None:
    """Take back what was written down of a failure that a replay has made good. Its run is open again, if it was over."""
    name = paths.record_file(table.pipeline.name, table.run_id, FAILED, table.table_id)
    if bucket.stat(name):
        if not table.check:
            open_run(bucket, table.pipeline, table.run_id)
        bucket.delete(name)


def open_run(bucket: Bucket, pipeline: Pipeline, run_id: str) -> None:
    """Write down that a run is not over: each look at the pipeline's runs sees to it, until it is."""
    write_once(bucket, paths.open_run_file(pipeline.name, run_id), {})


def write_described_again(bucket: Bucket, export: TableExport) -> dict[str, Any]:
    """
    Write down the `table-exports` message that describes a table again, and give the one that counts.

    What was written first stands.
    """
    message = export.to_json()
    try:
        bucket.write(_described_again_file(export), json.dumps(message, ensure_ascii=False).encode(), onto=0)
    except LostRace:
        return read_described_again(bucket, export) or message
    return message


def read_described_again(bucket: Bucket, export: TableExport) -> dict[str, Any] | None:
    """The `table-exports` message that describes a table of a run again. None if there is none."""
    found = bucket.read(_described_again_file(export))
    if not found:
        return None
    message: dict[str, Any] = json.loads(found[0])
    return message


def write_once(bucket: Bucket, name: str, content: dict[str, Any], marks: Mapping[str, str] | None = None) -> None:
    """Write an object, unless it is there."""
    try:
        bucket.write(name, json.dumps(content, ensure_ascii=False).encode(), onto=0, marks=marks)
    except LostRace:
        return


def _described_again_file(export: TableExport) -> str:
    return paths.described_again_file(export.pipeline.name, export.run_id, export.table_id)
