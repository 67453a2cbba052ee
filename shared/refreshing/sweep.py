"""Move several views of a pipeline at a time."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from shared.errors import Permanent
from shared.messages.outcome import Outcome
from shared.pipelines import Pipeline
from shared.refreshing import moving, report
from shared.refreshing.choosing import Aim
from shared.refreshing.moving import Moved, Stayed, Views
from shared.refreshing.views import ListedShard
from shared.tables import Shard

_AT_ONCE = 10
"""
Views that are moved at the same time. BigQuery allows a user 100 requests a second of one method: two a view, for the view and
its shard, and a view takes 0.2 s and more.
"""


@dataclass(frozen=True, slots=True)
class RefusedView:
    """A view that is not the mirror's to move, and why."""

    reason: str


Results = Mapping[str, Moved | Stayed | RefusedView]
"""What became of views, by their names."""


def move(pipeline: Pipeline, aims: Sequence[Aim], bigquery: Views, now: datetime) -> Results:
    """Move views, and report each that moves, is kept, or refuses to be moved."""

    def moved(aim: Aim) -> Moved | Stayed | RefusedView:
        try:
            result = moving.move(pipeline, aim, bigquery, now)
        except Permanent as reason:
            report.write(Outcome("dead", str(reason), report.about_view(pipeline, aim.table_id), "ERROR"))
            return RefusedView(str(reason))
        report.of_view(pipeline, aim.table_id, result)
        return result

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip([aim.table_id for aim in aims], pool.map(moved, aims), strict=True))


def keep_to_days(
    pipeline: Pipeline, results: Results, listed: Mapping[Shard, ListedShard], bigquery: Views, now: datetime
) -> None:
    """Have the shards of these views' tables expire as the pipeline's keep_days says."""
    of_table: dict[str, dict[Shard, datetime | None]] = {}
    for shard, known in listed.items():
        of_table.setdefault(shard.table_id, {})[shard] = known.expires_at
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        kept = [
            pool.submit(moving.keep_to_days, pipeline, result, of_table[table_id], bigquery, now)
            for table_id, result in results.items()
            if not isinstance(result, RefusedView)
        ]
    for each in kept:
        each.result()


def moved_to(results: Results) -> Collection[Shard]:
    """The shards that views have moved to."""
    return [result.shown for result in results.values() if isinstance(result, Moved)]


def refusals(results: Results) -> list[str]:
    """Why views refuse to be moved."""
    return [result.reason for result in results.values() if isinstance(result, RefusedView)]
