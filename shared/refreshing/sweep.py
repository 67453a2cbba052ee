"""Move several views of a pipeline at a time. What befalls one of them never holds up the others."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime

from shared.pipelines import Pipeline
from shared.refreshing import moving, report
from shared.refreshing.choosing import Aim
from shared.refreshing.moving import Moved, Refused, Result, Stayed, Views
from shared.tables import Shard

AT_ONCE = 10
"""
Views that are moved at the same time. BigQuery allows a user 100 requests a second of one method: two a view, for the view and
its shard, and a view takes 0.2 s and more.
"""
_OUTAGE = AT_ONCE
"""Views that fail for reasons that pass, until it counts as BigQuery's failure: the rest is left to the next delivery."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A view could not be looked at, or moved, for a reason that passes."""

    error: BaseException


Results = Mapping[str, Result | Failed]
"""What became of views, by their names."""


def move(pipeline: Pipeline, aims: Sequence[Aim], bigquery: Views, now: datetime) -> Results:
    """
    Move views, and report each that moves, is kept, refuses to be moved, or fails.

    Raises the first failure if there are so many that BigQuery itself must be failing.
    """

    def moved(aim: Aim) -> Result:
        result = moving.move(pipeline, aim, bigquery, now)
        report.of_view(pipeline, aim.table_id, result)
        return result

    with ThreadPoolExecutor(AT_ONCE) as pool:
        moves = {pool.submit(moved, aim): aim.table_id for aim in aims}
        failed: list[BaseException] = []
        for each in as_completed(moves):
            if error := each.exception():
                report.failed(pipeline, moves[each], error)
                failed.append(error)
            if len(failed) == _OUTAGE:
                pool.shutdown(cancel_futures=True)
                raise failed[0]
    return {table_id: _result(each) for each, table_id in moves.items()}


def moved_to(results: Results) -> Sequence[Shard]:
    """The shards that views have moved to."""
    return [result.shown for result in results.values() if isinstance(result, Moved)]


def shown(results: Results) -> Sequence[Shard]:
    """The shards that views show."""
    return [result.shown for result in results.values() if isinstance(result, Moved | Stayed) and result.shown]


def refusals(results: Results) -> list[str]:
    """Why views refuse to be moved."""
    return [result.reason for result in results.values() if isinstance(result, Refused)]


def foreign(results: Results) -> frozenset[str]:
    """The tables that are not the mirror's, and get no view."""
    return frozenset(
        table_id for table_id, result in results.items() if isinstance(result, Stayed) and result.is_foreign
    )


def failures(results: Results) -> list[BaseException]:
    """What views failed with, for reasons that pass."""
    return [result.error for result in results.values() if isinstance(result, Failed)]


def hand_back(failures: Sequence[BaseException]) -> None:
    """Raise the first of the failures, if any, now that all else is done."""
    for failure in failures:
        raise failure


def _result(done: Future[Result]) -> Result | Failed:
    error = done.exception()
    return Failed(error) if error else done.result()
