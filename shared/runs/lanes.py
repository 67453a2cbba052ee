"""
When a lane gave its last sign of life, and which runs are silent.

A lane is an instance. It hands out the runs of all its pipelines, one after the other. So a sign of life of one run counts for
those that were listed after it, and when it is over, too.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cached_property

from shared import bucket as paths
from shared import times
from shared.bucket import Bucket, Storage
from shared.pipelines import Pipeline
from shared.runs import progress, records
from shared.runs.progress import Turn

_LISTED_AT, _LAST_SIGN = "listed_at", "last_sign"


class Lane:
    """
    What is known of the runs of an instance, whose pipelines are these.

    Nothing is looked up until a run has given no sign of life itself. Then it costs, once, two lists for each pipeline, and one
    for each run that is not over.
    """

    def __init__(self, pipelines: Collection[Pipeline], storage: Storage, now: datetime) -> None:
        self._pipelines = pipelines
        self._storage = storage
        self._now = now

    def is_silent(self, turn: Turn) -> bool:
        """Whether nothing more is to be expected of a run: neither it nor one that was listed before has given a sign of life."""
        if not progress.has_had_its_time(turn.last_sign, self._now):
            return False
        ahead = [each.last_sign for each in self._turns if each.listed_at <= turn.listed_at]
        return all(progress.has_had_its_time(sign, self._now) for sign in ahead)

    @cached_property
    def _turns(self) -> list[Turn]:
        return [turn for pipeline in self._pipelines for turn in self._of_pipeline(pipeline)]

    def _of_pipeline(self, pipeline: Pipeline) -> Iterator[Turn]:
        bucket = self._storage.bucket(pipeline.bucket)
        for name in bucket.names(paths.open_runs(pipeline.name)):
            run_id = name.removeprefix(paths.open_runs(pipeline.name))
            if turn := progress.turn_of(bucket.listing(paths.run_folder(pipeline.name, run_id))):
                yield turn
        for each in bucket.listing(paths.over_runs(pipeline.name)):
            yield Turn(times.moment(each.marks[_LISTED_AT]), times.moment(each.marks[_LAST_SIGN]))


def leave(bucket: Bucket, pipeline: Pipeline, run_id: str, turn: Turn) -> None:
    """Write down that a run is over, with its turn in the lane."""
    marks = {_LISTED_AT: times.rfc3339(turn.listed_at), _LAST_SIGN: times.rfc3339(turn.last_sign)}
    name = paths.over_run_file(pipeline.name, run_id)
    is_over_again = bucket.mark(name, marks)  # a replay had opened it
    if not is_over_again:
        records.write_once(bucket, name, {}, marks)
    bucket.delete(paths.open_run_file(pipeline.name, run_id))
