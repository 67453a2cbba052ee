"""`mirror status`: how each pipeline stands, the bad first."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import click

from cli import schedules, standing
from cli.following import Run
from cli.problems import LOG_IN, Problem, unanswered
from cli.screen import BAD, GOOD, MINOR, WARN, Screen
from cli.session import Session, command
from cli.standing import Line, SeenRun, SeenView, Standing
from shared import bucket as paths
from shared import times
from shared.bucket import Bucket
from shared.errors import Busy, Told
from shared.pipelines import Pipeline
from shared.runs import manifest
from shared.runs.records import FAILED, HELD, SKIPPED

_MOST_RUNS = 20
"""Runs that are looked at, where tables of all later ones have not come to their end."""
_MOST_LINES = 5
"""Lines of one state, where all pipelines are shown."""
_MOST_NAMES = 3
_RIGHTS = "nothing is seen: `operators` in Terraform gives the roles for it"
_MARKS = {"open", "over"}
"""The folders of the marks of runs, which lie among those of the runs."""
_STYLES = {FAILED: BAD, HELD: WARN, SKIPPED: WARN, standing.STALE: WARN, standing.PINNED: ""}
"""Of the states that somebody should know of, in the order in which they are shown."""


@command
@click.argument("pipeline", required=False)
def status(session: Session, pipeline: str | None) -> None:
    """
    Show how PIPELINE stands, or each one: the bad first, with the command that mends it.

    Where the reason of a line asks for something, do that first. A table that you exclude stays in this list until the next run of
    all tables. Its view stays in BigQuery.

    Each table has the outcome of its newest day: shown, failed, held (something keeps its view at another day) or skipped. The day
    of a pipeline is the newest that at least half of its views show, pinned ones left out. It is late if its schedule asks for a
    newer one. Today, in its time zone, does not count yet. Without a schedule, the usual gap between its days counts. A view is
    stale if it shows an older day than the others, and no run says why. What is no table, such as a request that was refused, is
    to be seen by `mirror replay --dry-run`. The exit code is 1 if a table has failed, or a day is late.
    """
    names = [pipeline] if pipeline else sorted(session.settings.pipelines)
    found = []
    with session.screen.waiting("looking at the runs and the views …") as waiting:
        for known in map(session.settings.pipeline, names):
            waiting.say(f"looking at the runs and the views of {known.name} …")
            found.append(_look(session, known))
    found.sort(key=lambda each: not each.is_bad)
    session.screen.result({"pipelines": [each.to_json() for each in found]})
    for each in found:
        show(session.screen, each, most=None if pipeline else _MOST_LINES)
    if any(each.is_bad for each in found):
        raise SystemExit(1)


def show(screen: Screen, found: Standing, most: int | None = None) -> None:
    """Write how a pipeline stands. `most`: the lines of each state that are shown, None for all."""
    day = f"shows {found.day}" if found.day else "shows no day" if found.is_seen else "cannot be looked at"
    screen.say(f"{found.pipeline} {day}{', late' if found.is_late else ''}", BAD if found.is_bad else GOOD)
    if found.is_late:
        ask = [] if _under_way(found) else [f"-> mirror request {found.pipeline}"]
        is_under_way = f"{'no' if ask else 'a'} run is under way"
        screen.entry("late", [f"{found.due} is due, most views do not show it, and {is_under_way}", *ask], BAD)
    for state, style in _STYLES.items():
        groups = standing.groups((each for each in found.told if each.state == state), found.pipeline)
        for group in groups[:most]:
            screen.entry(state, list(_told(group)), style)
        if most is not None and len(groups) > most:
            screen.entry(state, [f"and {len(groups) - most} more: mirror status {found.pipeline}"], style)
    for run_id, states in _under_way(found).items():
        said = ", ".join(f"{count} {state}" for state, count in states.items())
        screen.entry("waiting", [f"the run {run_id} is under way: {said}"])
    for reason in found.not_looked_at:
        screen.entry("unseen", [reason])
    screen.entry("in all", [found.sum if found.is_seen else _RIGHTS], MINOR)


def _told(line: Line) -> Iterator[str]:
    """What is said of a line: its tables, why it is so, and what to do."""
    more = f" and {len(line.names) - _MOST_NAMES} more" if len(line.names) > _MOST_NAMES else ""
    shows = f"  (the view shows {line.view_day})" if line.view_day and line.view_day != line.day else ""
    yield ", ".join(line.names[:_MOST_NAMES]) + more + shows
    if line.reason:
        yield line.reason
    if line.under_way:
        yield f"the run {line.under_way[0]} tries it again"
    if line.command:
        is_refused = line.state == FAILED and not line.function
        yield f"-> {'when that is done: ' if is_refused else ''}{line.command}"


def _under_way(found: Standing) -> dict[str, Counter[str]]:
    """The runs that are not over, each with how far its tables are."""
    runs: dict[str, Counter[str]] = {}
    for each in found.tables:
        if each.under_way:
            runs.setdefault(each.under_way[0], Counter())[each.under_way[1]] += 1
    return runs


def _look(session: Session, pipeline: Pipeline) -> Standing:
    """How a pipeline stands now. Raises Problem if nobody is logged in, or nothing answers."""
    unseen: list[str] = []
    days: list[date] = []
    runs: list[SeenRun] | None = None
    views: list[SeenView] | None = None
    with _seeing("runs", unseen):
        bucket = session.bucket(pipeline)
        days = manifest.days(bucket, pipeline)
        runs = _runs(bucket, pipeline)
    with _seeing("views", unseen):
        views = session.warehouse.seen(pipeline)
    today = times.day_in(pipeline.time_zone, times.SystemClock().now())
    due = schedules.due(session.settings.schedules.get(pipeline.name), days, today)
    return standing.of(pipeline.name, runs, views, due, unseen)


@contextmanager
def _seeing(what: str, unseen: list[str]) -> Iterator[None]:
    """Note what could not be looked at, and why. Raises Problem if nobody is logged in, or nothing answers."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except GoogleAuthError as error:
        raise Problem(f"Cannot look at the {what}: {error}", LOG_IN) from error
    except (RetryError, OSError) as error:
        raise Problem(f"Cannot look at the {what}: {type(error).__name__}", unanswered()) from error
    except Busy as error:
        unseen.append(f"the {what} are not looked at: {error}")
    except (Told, GoogleAPICallError) as error:
        unseen.append(f"the {what} are not looked at: {getattr(error.__cause__, 'message', error)}")


def _runs(bucket: Bucket, pipeline: Pipeline) -> list[SeenRun]:
    """
    The newest runs, as far back as a table has not come to its end.

    Of each, its manifest is read, its folder listed, and what says why a table is held, skipped or has failed.
    """
    newest = manifest.newest(bucket, pipeline)  # of a backfill since, the folder comes first
    prefix = paths.run_folders(pipeline.name)
    folders = {each.removeprefix(prefix).removesuffix("/") for each in bucket.folders(prefix)}
    run_ids = sorted(folders - _MARKS, key=lambda run_id: (len(run_id), run_id), reverse=True)
    found: list[SeenRun] = []
    for run_id in run_ids[:_MOST_RUNS]:
        if seen := _run(bucket, pipeline, run_id):
            found.append(seen)
            is_reached = newest is None or any(each.run_id == newest.run_id for each in found)
            if is_reached and standing.is_settled(found):
                return found
    return found


def _run(bucket: Bucket, pipeline: Pipeline, run_id: str) -> SeenRun | None:
    """A run as it is now. None if it has no manifest yet, or is a check's, whose canaries are no tables."""
    run = Run(bucket, pipeline, run_id)
    tables = run.look()
    if tables is None or run.manifest is None or run.manifest.is_check:
        return None
    return SeenRun(run_id, run.manifest.requested_at, run.manifest.day, bool(run.manifest.is_whole), tables)
