"""See that every run ends: what its functions have left unsaid is said, and a table of which nothing comes has failed."""

from collections.abc import Callable, Iterator, Mapping

from shared import bucket as paths
from shared.bucket import Bucket
from shared.pipelines import Pipeline
from shared.runs import announcing, bookkeeping, lanes, manifest, progress
from shared.runs.announcing import Listeners, Said
from shared.runs.lanes import Lane
from shared.runs.manifest import Manifest
from shared.runs.progress import Progress

Judge = Callable[[Progress], Mapping[str, str]]
"""Writes down, for tables of a run that are open, that they have come to an end. Gives these, with their ends."""


def see_to_runs(
    bucket: Bucket,
    pipeline: Pipeline,
    claimant: str,
    lane: Lane,
    listeners: Listeners,
    judge: Judge = lambda _: {},
) -> None:
    """
    Say what is due of the runs that are not over, and end those that have had their time.

    Of two that look at the same time, one `claimant` says it. One that crashes says it when its message comes again, or another
    does when the run has had its time. It costs a list of the folder of each run that is not over.
    """
    for found in sorted(_unfinished(bucket, pipeline), key=lambda run: (run.requested_at, run.run_id)):
        run, turn = progress.look(bucket, found, pipeline)
        is_late = lane.is_silent(turn)
        judged = _judged(run, judge)
        if is_late and (silent := judged.open | judged.unexported):
            judged = progress.end_silence(bucket, pipeline, judged, silent)
        said = announcing.announce(bucket, pipeline, run.run_id, claimant, listeners, known=judged, for_any=is_late)
        if said.is_all and not judged.open and _is_recorded(bucket, pipeline, judged, said, listeners):
            lanes.leave(bucket, pipeline, run.run_id, turn)


def _is_recorded(bucket: Bucket, pipeline: Pipeline, run: Progress, said: Said, listeners: Listeners) -> bool:
    """Have the ledger note what has been mended since the run was told, and give whether it has."""
    ends = {table_id: end for end, table_ids in run.ends.items() for table_id in table_ids}
    return not said.of_day or bookkeeping.record_mended(bucket, pipeline, said.of_day, ends, listeners.ledger)


def _judged(run: Progress, judge: Judge) -> Progress:
    for table_id, end in judge(run).items() if run.open else ():
        run = run.with_more(end, [table_id])
    return run


def _unfinished(bucket: Bucket, pipeline: Pipeline) -> Iterator[Manifest]:
    """The runs that are not over."""
    for name in bucket.names(paths.open_runs(pipeline.name)):
        if found := manifest.find(bucket, pipeline, name.removeprefix(paths.open_runs(pipeline.name))):
            yield found
        else:  # its records have expired
            bucket.delete(name)
