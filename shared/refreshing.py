"""Keep each view at its table's newest shard, told by events of BigQuery's jobs, by people, and by a schedule."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from cloudevents.http import CloudEvent

from shared import audit, events, log, messages, shards, views
from shared.audit import TableWritten, Truncated
from shared.clock import Clock
from shared.errors import Permanent, without_values
from shared.messages import ViewRefresh
from shared.outcome import Outcome
from shared.pipelines import Pipeline
from shared.shards import Shard
from shared.times import stamp
from shared.views import Aim

Signal = ViewRefresh | TableWritten | Truncated | None


class Warehouse(views.Warehouse, Protocol):
    """BigQuery's tables, views and jobs."""

    def shards(self, dataset: str) -> list[Shard]:
        """All shards of a dataset."""

    def table_written(self, job: Truncated) -> TableWritten | None:
        """What a job wrote; None where it is gone, runs, or is neither a load nor a copy."""


@dataclass(frozen=True, slots=True)
class Services:
    """What refreshing works with."""

    warehouse: Warehouse
    clock: Clock


def read(event: CloudEvent, pipelines: Mapping[str, Pipeline]) -> Signal:
    """What an event says; None for the many that say nothing here. Permanent where it is malformed."""
    if events.is_message(event):
        return messages.view_refresh(events.message(event).data, pipelines)
    return audit.read(event.data) if event["type"] == audit.LOG_ENTRY_WRITTEN else None


def refresh_views(signal: Signal, pipelines: Mapping[str, Pipeline], services: Services) -> Outcome:
    """Move the views that a signal is about. Whatever is not about a shard of a pipeline costs no call of BigQuery."""
    if isinstance(signal, ViewRefresh):
        return _on_request(signal, services)
    if isinstance(signal, Truncated):
        signal = services.warehouse.table_written(signal)
    pipeline = _pipeline(signal, services.warehouse.project, pipelines) if signal else None
    return _after_job(signal, pipeline, services) if signal and pipeline else _ignored("no shard of a pipeline")


def _pipeline(written: TableWritten, project: str, pipelines: Mapping[str, Pipeline]) -> Pipeline | None:
    """The pipeline whose shards are in the dataset that was written to."""
    if written.project != project:
        return None
    return next((pipeline for pipeline in pipelines.values() if pipeline.shards_dataset == written.dataset), None)


def _after_job(written: TableWritten, pipeline: Pipeline, services: Services) -> Outcome:
    """Move the view of a shard that a job has just written; a job that failed moves nothing, and is reported."""
    shard = shards.parse(written.name)
    if not shard:
        return _ignored(f"{written.dataset}.{written.name} is no shard")

    def say(outcome: str, message: str, severity: str) -> Outcome:
        return Outcome(
            outcome, message, severity, pipeline=pipeline.name, table=shard.table_id, shard_date=shard.day.isoformat()
        )

    if written.error:
        return say("dead", f"the load of {shard.name} failed: {without_values(written.error)}", "ERROR")
    if views.move(pipeline, Aim((shard,), trusted=True), services):
        return say("moved", f"the view {shard.table_id} shows {shard.name}", "INFO")
    return say("ignored", f"the view {shard.table_id} need not move for {shard.name}", "INFO")


def _on_request(request: ViewRefresh, services: Services) -> Outcome:
    """Reconcile, pin or unpin views, as the request says; views that refuse are reported one by one, and the rest go on."""
    moved, refused = 0, []
    for aim in _aims(request, services.warehouse):
        try:
            moved += views.move(request.pipeline, aim, services)
        except Permanent as reason:
            refused.append(str(reason))
            log.write(
                "refresh_views",
                {
                    "severity": "ERROR",
                    "message": str(reason),
                    "pipeline": request.pipeline.name,
                    "table": aim.table_id,
                    "outcome": "dead",
                },
            )
    if refused and request.table_ids:
        raise Permanent("; ".join(refused))
    word = "moved" if moved else "ignored"
    return Outcome(word, f"{moved} views moved, {len(refused)} refused", pipeline=request.pipeline.name)


def _ignored(message: str) -> Outcome:
    """Nothing to do, and nothing to say about it but to whoever debugs."""
    return Outcome("ignored", message, severity="DEBUG")


def _aims(request: ViewRefresh, warehouse: Warehouse) -> list[Aim]:
    found: dict[str, list[Shard]] = {}
    for shard in sorted(warehouse.shards(request.pipeline.shards_dataset), reverse=True):
        found.setdefault(shard.table_id, []).append(shard)
    wanted = request.table_ids or tuple(found)
    if unknown := [table_id for table_id in wanted if table_id not in found]:
        raise Permanent(f"{request.pipeline.shards_dataset} has no shard of {', '.join(unknown)}")
    if request.pin:
        return [_pinned(table_id, request.pin, found[table_id]) for table_id in wanted]
    pin = "" if request.unpin else None
    return [Aim(tuple(found[table_id]), backwards=request.unpin, pin=pin) for table_id in wanted]


def _pinned(table_id: str, day: date, found: list[Shard]) -> Aim:
    shard = Shard(table_id, day)
    if shard not in found:
        raise Permanent(f"the view {table_id} cannot be pinned to {day}: there is no shard {shard.name}")
    return Aim((shard,), trusted=True, backwards=True, pin=stamp(day))
