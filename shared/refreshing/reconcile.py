"""Compare a pipeline's views with the shards that are there, and move, pin or unpin them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import partial

from shared.canaries import is_canary
from shared.errors import Permanent
from shared.messages.outcome import Outcome
from shared.messages.requests import ViewRefresh
from shared.pipelines import Pipeline
from shared.refreshing import keeping, report, sweep
from shared.refreshing.choosing import SETTLED_AFTER, Aim, Pinning
from shared.refreshing.origins import Origins
from shared.refreshing.recording import Recorder
from shared.refreshing.release import Releases
from shared.refreshing.services import RefreshServices
from shared.refreshing.sweep import Results
from shared.refreshing.views import ListedShard
from shared.runs import closing
from shared.runs.lanes import Lane
from shared.tables import Shard
from shared.times import day_in


def reconcile(
    request: ViewRefresh, services: RefreshServices, pipelines: Iterable[Pipeline], written_by: datetime | None = None
) -> Outcome:
    """
    Reconcile, pin or unpin views, as the request says. Views that refuse or fail are reported one by one, and the rest go on.

    `pipelines` are all that there are: some may share its lane. `written_by`: whoever writes the shards was done then. Raises
    Permanent if a view that is named refuses. Hands back if a view failed, once all else is done.
    """
    pipeline, bigquery, now = request.pipeline, services.bigquery, services.clock.now()
    today = day_in(pipeline.time_zone, now)
    listed = _so_far(request, bigquery.shards(pipeline.shards_dataset), today)
    origins = Origins(pipeline, services.storage)
    lane = Lane([each for each in pipelines if each.instance == pipeline.instance], services.storage, now)
    if request.pin and request.pin > today:
        raise Permanent(f"no view can be pinned to {request.pin}: that day is to come in {pipeline.time_zone}")
    aims = [replace(aim, written_by=written_by) for aim in _aims(request, listed, origins)]
    if pipeline.release == "together" and request.pin is None:
        present = _settled(pipeline, listed, written_by or now - SETTLED_AFTER)
        results = _move_released(aims, present, pipeline, services, lane)
    else:
        results = sweep.move(pipeline, aims, bigquery, now)
    failures = sweep.failures(results) + keeping.keep_to_days(pipeline, results, listed, bigquery, now)
    if request.table_ids is None:
        foreign = sweep.foreign(results)
        report.without_view(pipeline, foreign)
        report.stale(pipeline, [shard for shard in listed if shard.table_id not in foreign], today)
        _see_to_runs(request, listed, results, services, lane)
    # What a person asks for may come the second time: a crash may have come before the records.
    told = sweep.shown(results) if request.is_by_hand else sweep.moved_to(results)
    Recorder(pipeline, services).after_sweep(told, results, request.wished_by)
    sweep.hand_back(failures)
    refused = sweep.refusals(results)
    if refused and request.table_ids:
        raise Permanent("; ".join(refused))
    return report.summed_up(pipeline, results, len(refused))


def _so_far(request: ViewRefresh, listed: Mapping[Shard, ListedShard], today: date) -> Mapping[Shard, ListedShard]:
    """
    The shards without those of days to come, which are reported: a view that showed one would stand still until then.

    Those of canaries are for a request that names them.
    """
    for shard in sorted(listed):
        if shard.day > today and not is_canary(shard.table_id):
            report.write(report.to_come(request.pipeline, shard))
    so_far = {shard: known for shard, known in listed.items() if shard.day <= today}
    return {shard: known for shard, known in so_far.items() if request.table_ids or not is_canary(shard.table_id)}


def _aims(request: ViewRefresh, listed: Mapping[Shard, ListedShard], origins: Origins) -> list[Aim]:
    """Where each view is to go. Who names a table wants a view of it, whosever it is."""
    found: dict[str, list[Shard]] = {}
    for shard in sorted(listed, reverse=True):
        found.setdefault(shard.table_id, []).append(shard)
    wanted = request.table_ids or tuple(found)
    if unknown := [table_id for table_id in wanted if table_id not in found]:
        raise Permanent(f"{request.pipeline.shards_dataset} has no shard of {', '.join(unknown)}")
    if request.pin:
        named = request.table_ids or [
            each for each in wanted if Shard(each, request.pin) in listed or origins.has(each)
        ]
        aims = [_pinned(table_id, request.pin, found[table_id]) for table_id in named]
    else:
        pinning = Pinning.UNPIN if request.unpin else Pinning.LEAVE
        aims = [Aim(tuple(found[table_id]), pinning, by_hand=request.table_ids is not None) for table_id in wanted]
    return aims if request.table_ids else [replace(aim, gets_view=origins.has) for aim in aims]


def _pinned(table_id: str, day: date, found: list[Shard]) -> Aim:
    shard = Shard(table_id, day)
    if shard not in found:
        raise Permanent(f"the view {table_id} cannot be pinned to {day}: there is no shard {shard.name}")
    return Aim((shard,), Pinning.PIN, trusted=True, by_hand=True)


def _settled(pipeline: Pipeline, listed: Mapping[Shard, ListedShard], latest: datetime) -> Collection[Shard]:
    """The shards that a run may count as brought: of another loader, those that were begun by then."""
    if pipeline.loader == "bigquery":
        return listed.keys()
    return [shard for shard, known in listed.items() if known.created_at <= latest]


def _move_released(
    aims: list[Aim], present: Collection[Shard], pipeline: Pipeline, services: RefreshServices, lane: Lane
) -> Results:
    """Move the views as far as runs are complete."""
    bucket, now = services.storage.bucket(pipeline.bucket), services.clock.now()
    runs = Releases(pipeline, bucket, frozenset(present), now, lane)
    runs.end_silent_runs()
    released = [replace(aim, is_released=runs.is_released) for aim in aims]
    results = sweep.move(pipeline, released, services.bigquery, now)
    report.released_without(pipeline, sweep.moved_to(results), runs.complete())
    return results


def _see_to_runs(
    request: ViewRefresh,
    listed: Mapping[Shard, ListedShard],
    results: Results,
    services: RefreshServices,
    lane: Lane,
) -> None:
    pipeline = request.pipeline
    bucket, recorder = services.storage.bucket(pipeline.bucket), Recorder(pipeline, services)
    judge = partial(recorder.judge, present=listed, results=results)
    closing.see_to_runs(bucket, pipeline, request.wished_by, lane, services.listeners, judge)
