"""What is told of views: the words for what became of one, and the lines that are logged beside the event's own."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date

from shared import log
from shared.canaries import is_canary
from shared.errors import HandBack, Permanent
from shared.messages.outcome import Outcome, Subject
from shared.pipelines import Pipeline
from shared.redaction import of_error
from shared.refreshing.moving import Moved, Refused, Result, Stayed
from shared.runs.progress import Progress
from shared.tables import Shard

_FUNCTION = "refresh_views"


def about(pipeline: Pipeline, shard: Shard | None = None) -> Subject:
    """A pipeline, or one of its shards, as a log line names it."""
    return Subject(pipeline.name, shard.table_id, shard.day) if shard else Subject(pipeline.name)


def about_view(pipeline: Pipeline, table_id: str) -> Subject:
    """A view as a log line names it."""
    return Subject(pipeline.name, table_id)


def write(outcome: Outcome) -> None:
    """Log a line beside the event's own."""
    log.write(_FUNCTION, outcome.to_json())


def quiet(table_id: str, outcome: Outcome) -> Outcome:
    """It as it is told of a table, or of a canary, which sets off no alert."""
    is_alarming = is_canary(table_id) and outcome.severity == "ERROR"
    return replace(outcome, outcome="skipped", severity="WARNING") if is_alarming else outcome


def to_come(pipeline: Pipeline, shard: Shard) -> Outcome:
    """A shard that no view shows, as its day is still to come."""
    said = f"no view shows {shard.name}: {shard.day} is to come in {pipeline.time_zone}"
    return Outcome("skipped", said, about(pipeline, shard), "WARNING")


def foreign(pipeline: Pipeline, shard: Shard) -> Outcome:
    """A shard of a table that is not the mirror's."""
    said = f"{shard.name} is not the mirror's: no run of {pipeline.name} has exported the table {shard.table_id}, or lists it"
    return Outcome("skipped", said, about(pipeline, shard))


def of_shard(pipeline: Pipeline, shard: Shard, result: Result) -> Outcome:
    """What became of a view, for the event that told of that shard."""
    if isinstance(result, Refused):
        return Outcome("dead", result.reason, about(pipeline, shard), "ERROR")
    if isinstance(result, Moved):
        return _moved(pipeline, shard, result)
    if result.shrunk:
        return Outcome("skipped", result.shrunk, about(pipeline, shard), "ERROR")
    if result.is_foreign:
        return foreign(pipeline, shard)
    said = f"the view {shard.table_id} need not move for {shard.name}{_losses(result)}"
    return Outcome("ignored", said, about(pipeline, shard), "WARNING" if result.losses else "INFO")


def of_view(pipeline: Pipeline, table_id: str, result: Result) -> None:
    """Log that a view of several has moved, was kept from a shard of few rows, or refuses to be moved."""
    if isinstance(result, Refused):
        write(quiet(table_id, Outcome("dead", result.reason, about_view(pipeline, table_id), "ERROR")))
        return
    if isinstance(result, Moved):
        write(_moved(pipeline, result.shown, result))
    if result.shrunk:
        write(Outcome("skipped", result.shrunk, about_view(pipeline, table_id), "ERROR"))


def without_view(pipeline: Pipeline, table_ids: Collection[str]) -> None:
    """Name the tables that have shards and get no view."""
    if table_ids:
        said = f"no views are made of {', '.join(sorted(table_ids))}: no run has exported these tables, or lists them"
        write(Outcome("ignored", said, about(pipeline)))


def failed(pipeline: Pipeline, table_id: str, error: BaseException) -> None:
    """Log that a view could not be seen to, for a reason that passes."""
    reason = str(error) if isinstance(error, HandBack) else of_error(error)
    said = f"the view {table_id} is left to the next delivery: {reason}"
    write(Outcome("waiting", said, about_view(pipeline, table_id), "WARNING"))


def refused(pipeline: Pipeline, shard: Shard, reason: Permanent) -> None:
    """Log that BigQuery refuses to have a shard changed."""
    write(Outcome("dead", str(reason), about(pipeline, shard), "ERROR"))


def released_without(pipeline: Pipeline, moved_to: Iterable[Shard], complete: Iterable[Progress]) -> None:
    """Name the tables that a day has been released without."""
    days = {shard.day for shard in moved_to}
    for run in complete:
        day = run.manifest.day
        if run.missing and day in days:
            said = f"{day} is released without {', '.join(sorted(run.missing))}, which failed in the run {run.run_id}"
            write(Outcome("moved", said, about(pipeline), "WARNING"))


def stale(pipeline: Pipeline, shards: Iterable[Shard], today: date) -> None:
    """Name the tables that have had no shard since others have had two: dropped, renamed, or failing."""
    newest: dict[str, date] = {}
    for shard in shards:
        newest[shard.table_id] = max(shard.day, newest.get(shard.table_id, shard.day))
    last_but_one = sorted({shard.day for shard in shards})[-2:][:1]
    found = [
        f"{table_id} ({(today - day).days} days old)"
        for table_id, day in sorted(newest.items())
        if last_but_one and day < last_but_one[0]
    ]
    if found:
        write(Outcome("ignored", f"{len(found)} views are stale: {', '.join(found)}", about(pipeline), "WARNING"))


def summed_up(pipeline: Pipeline, results: Mapping[str, object], refused: int) -> Outcome:
    """What became of several views, in one line."""
    moved = sum(isinstance(result, Moved) for result in results.values())
    said = f"{moved} views moved, {refused} refused"
    return Outcome("moved" if moved else "ignored", said, about(pipeline))


def _moved(pipeline: Pipeline, shard: Shard, result: Moved) -> Outcome:
    said = f"the view {shard.table_id} shows {result.shown.name}{_losses(result)}"
    return Outcome("moved", said, about(pipeline, shard), "WARNING" if result.losses else "INFO")


def _losses(result: Moved | Stayed) -> str:
    return f", and whoever queries it loses columns: {', '.join(result.losses)}" if result.losses else ""
