"""Tell what a run would do: decide all as the run would, and write down nothing else."""

import json
from typing import Any

from shared import bucket as paths
from shared.bucket import Bucket
from shared.errors import Denied, LostRace, Permanent
from shared.listing import columns, deciding, plan
from shared.listing.deciding import Decided
from shared.listing.fanout import ListServices
from shared.listing.plan import Known, LastRun
from shared.messages.outcome import Outcome
from shared.messages.requests import PlanRequest
from shared.pipelines import Pipeline
from shared.runs import manifest, records

_MOST_RECORDS = 100
"""Of the last run, that are read: those of the largest tables."""
_REPLAY = ", then replay the message"
"""What the remedies of a message that is dead-lettered end with."""


def write_plan(request: PlanRequest, services: ListServices) -> Outcome:
    """
    Write down what a run would do, at a place that the message's id names, or why that cannot be said, and what to do.

    A redelivery writes it again. Raises Busy, or the driver's own error, where the database cannot answer now.
    """
    pipeline, bucket = request.run.pipeline, services.storage.bucket(request.run.pipeline.bucket)
    try:
        written, said = _document(request, bucket, services), f"what a run of {pipeline.database} would do is written"
    except (Permanent, Denied) as failure:
        written, said = _failure(failure), f"no plan can be made: {failure}"
    _write(bucket, paths.plan_file(pipeline.name, request.run.run_id), written)
    return Outcome("listed", said, request.subject, "WARNING" if "error" in written else "INFO")


def _document(request: PlanRequest, bucket: Bucket, services: ListServices) -> dict[str, Any]:
    pipeline = request.run.pipeline
    catalog, hidden = services.database.tables_and_hidden(pipeline)
    patterns = columns.patterns(catalog, pipeline)
    decided = deciding.decide(request.run, columns.decided(catalog, pipeline, patterns), services.datasets)
    last = _last_run(bucket, pipeline, decided)
    return plan.document(Known(request.run, catalog, patterns, decided, hidden, last))


def _last_run(bucket: Bucket, pipeline: Pipeline, decided: Decided) -> LastRun | None:
    run = manifest.newest(bucket, pipeline)
    if run is None:
        return None
    was_exported = {(each["schema"], each["table"]) for each in run.tables if not each.get("snapshot")}
    again = [
        (table.size or 0, export.table_id)
        for table, export in decided.exports.items()
        if not export.snapshot and (table.schema, table.name) in was_exported
    ]
    seconds = {}
    for _, table_id in sorted(again, reverse=True)[:_MOST_RECORDS]:
        record = records.find(bucket, pipeline, run.run_id, records.EXPORTED, table_id)
        if record and record.get("seconds"):
            seconds[table_id] = float(record["seconds"])
    return LastRun(run, seconds)


def _failure(failure: Permanent | Denied) -> dict[str, str]:
    """What is wrong, and what to do about it: of our errors, the last sentence, or what follows the last colon."""
    told = str(failure).removesuffix(_REPLAY)
    mark = ". " if ". " in told else ": "
    error, _, remedy = told.rpartition(mark)
    return {"error": error or told, "remedy": (remedy[:1].upper() + remedy[1:]) if error else "Mend what it says"}


def _write(bucket: Bucket, name: str, content: dict[str, Any]) -> None:
    """Write it over what an earlier delivery has written. Where another writes at this moment, its plan is as good."""
    found = bucket.stat(name)
    try:
        bucket.write(name, json.dumps(content, ensure_ascii=False).encode(), onto=found.generation if found else 0)
    except LostRace:
        return
