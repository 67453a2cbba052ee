"""How long a shard is kept that its view shows no longer: the pipeline's keep_days. A shard that another view names is spared."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from shared.errors import Permanent
from shared.pipelines import Pipeline
from shared.refreshing import report, views
from shared.refreshing.moving import Moved, Stayed, Views
from shared.refreshing.sweep import AT_ONCE, Failed, Results
from shared.refreshing.views import ListedShard
from shared.tables import Shard


def expire_replaced(pipeline: Pipeline, results: Results, bigquery: Views, now: datetime) -> list[BaseException]:
    """
    Have the shards expire that views have just left. Give what failed for reasons that pass.

    Other views than these are not looked at. If one of them names such a shard, the next reconcile takes the expiry back,
    which is a day ahead at least.
    """
    if pipeline.keep_days is None:
        return []
    left = {result.left for result in results.values() if isinstance(result, Moved) and result.left}
    expiries = {shard: views.expiry(shard, pipeline.keep_days, now) for shard in left - _named(results)}
    return _set(pipeline, expiries, bigquery)


def keep_to_days(
    pipeline: Pipeline, results: Results, listed: Mapping[Shard, ListedShard], bigquery: Views, now: datetime
) -> list[BaseException]:
    """
    Have all shards of these views' tables expire as they are to, and those that the views name not.

    `listed` are the shards of the pipeline. Give what failed for reasons that pass.
    """
    if pipeline.keep_days is None:
        return []
    of_table: dict[str, dict[Shard, datetime | None]] = {}
    for shard, known in listed.items():
        of_table.setdefault(shard.table_id, {})[shard] = known.expires_at
    named = _named(results)
    changes: dict[Shard, datetime | None] = {
        shard: None for shard in named if shard in listed and listed[shard].expires_at
    }
    for table_id, result in results.items():
        if isinstance(result, Moved | Stayed) and result.shown:
            wanted = views.expiries(result.shown, of_table[table_id], pipeline.keep_days, now)
            seen_to = named | {result.shown} if isinstance(result, Moved) else named
            changes |= {shard: at for shard, at in wanted.items() if shard not in seen_to}
    return _set(pipeline, changes, bigquery)


def _named(results: Results) -> frozenset[Shard]:
    """The shards that views of other tables name."""
    known = [result.also_names for result in results.values() if not isinstance(result, Failed)]
    return frozenset().union(*known)


def _set(pipeline: Pipeline, expiries: Mapping[Shard, datetime | None], bigquery: Views) -> list[BaseException]:
    """Set expiries, and report each that BigQuery refuses."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        calls = {
            shard: pool.submit(bigquery.expire, pipeline.shards_dataset, shard, at) for shard, at in expiries.items()
        }
    errors = {shard: error for shard, call in calls.items() if (error := call.exception())}
    for shard, error in errors.items():
        if isinstance(error, Permanent):
            report.refused(pipeline, shard, error)
    return [error for error in errors.values() if not isinstance(error, Permanent)]
