"""`mirror request`: ask for a mirror, and see each table on its way."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from cli.following import OVER, WAITING, Run, TableOfRun
from cli.mailbox import Mailbox
from cli.problems import LOG_IN, Problem, WrongUse, unanswered
from cli.screen import BAD, GOOD, MINOR, Screen, Waiting
from cli.session import SEE, Session, command, day
from shared.errors import Busy, Permanent
from shared.pipelines import Pipeline
from shared.runs import records

_EACH = 1.0
"""Seconds between two looks."""
_BEGINS_WITHIN = 60.0
"""Seconds until a request should have become a run."""
_ANSWERS_WITHIN = 60.0
"""Seconds without an answer of Cloud Storage after which nobody looks any more."""
_ASKS_AFTER, _ASKS_EACH = 4.0, 10.0
"""Seconds until the first look at the dead letters, and between two, while there is no run."""
_STYLES = {records.SHOWN: GOOD, records.FAILED: BAD, records.EXPORTED: MINOR}
_INTERRUPTED = 130
_UNKNOWN_TABLE = "mirrors no table"
"""Of the reason that `list_tables` gives for a name that it does not know."""
_WHERE_TO_LOOK = "Look at the log of list_tables, and at: mirror replay --function list_tables --dry-run"


@command
@click.argument("pipeline")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option(
    "--date", "on", metavar="DAY", help="The day that the shards are of, as 2026-11-01. Today, if it is left out."
)
@click.option("--replace", is_flag=True, help="Replace what stands at an earlier day by the rows of now.")
@click.option("--follow", is_flag=True, help="Show each table on its way, until all have arrived or failed.")
def request(
    session: Session, pipeline: str, tables: tuple[str, ...], on: str | None, *, replace: bool, follow: bool
) -> None:
    """
    Ask for a mirror of PIPELINE, or of each TABLE of it.

    A table is named as orders, or with its schema as sales.orders. What is exported are the rows of now, whatever the day. With
    --follow, Ctrl-C leaves the run going, and the exit code is 1 if a table failed.
    """
    known = session.settings.pipeline(pipeline)
    if not all(tables):
        raise WrongUse("A table has no name.", "Leave out the tables to mirror them all.")
    message: dict[str, Any] = {"pipeline": known.name}
    message |= {"tables": list(tables)} if tables else {}
    message |= {"shard_date": day(on, known).isoformat()} if on else {}
    message |= {"replace": True} if replace else {}
    run_id = session.publish(session.settings.mirror_requests_topic, message)
    session.screen.say(f"Requested the run {run_id} of {known.name}.")
    result = {"pipeline": known.name, "run_id": run_id, "message": message}
    if not follow:
        session.screen.result(result)
        session.screen.say(SEE.format(known.name))
        session.screen.say(f"If it was a mistake: mirror stop {known.name} {run_id}")
        return
    found = _followed(session, known, run_id)
    session.screen.result({**result, "tables": [each.to_json() for each in found]})
    _sum_up(session.screen, known, found)


def _followed(session: Session, pipeline: Pipeline, run_id: str) -> list[TableOfRun]:
    """The tables of the run when it is over. After Ctrl-C it exits, and says how to see the run again."""
    run = Run(session.bucket(pipeline), pipeline, run_id)
    seen: dict[str, str] = {}
    try:
        with session.screen.waiting("waiting for list_tables to read the catalog …") as waiting:
            began = time.monotonic()
            for tables in _looks(session, run, run_id):
                _show(session.screen, waiting, tables, seen, time.monotonic() - began)
                if all(each.state in OVER for each in tables):
                    return tables
    except KeyboardInterrupt:
        click.echo(f"\nThe run {run_id} goes on. See it again: mirror status {pipeline.name}", err=True)
        click.echo(f"To stop it: mirror stop {pipeline.name} {run_id}", err=True)
        raise SystemExit(_INTERRUPTED) from None
    raise AssertionError("looks do not end by themselves")


def _looks(session: Session, run: Run, run_id: str) -> Iterator[list[TableOfRun]]:
    """Looks at the run from its manifest on. Raises Problem if none comes, or if the bucket cannot be read."""
    from google.auth.exceptions import GoogleAuthError

    began = answered = time.monotonic()
    asks_at = began + _ASKS_AFTER
    while True:
        tables = None
        try:
            tables = run.look()
            answered = time.monotonic()
        except Permanent as error:
            said = getattr(error.__cause__, "message", error)
            role = "You need roles/storage.objectViewer on the bucket."
            raise Problem(f"The run {run_id} goes on, unseen: {said}", role) from error
        except GoogleAuthError as error:
            raise Problem(f"The run {run_id} goes on, unseen: {error}", LOG_IN) from error
        except Busy as error:
            if time.monotonic() - answered > _ANSWERS_WITHIN:
                raise Problem(f"The run {run_id} goes on, unseen: {error}", unanswered()) from error
        now = time.monotonic()
        if tables is not None:
            yield tables
        elif now > asks_at:
            _look_for_dead_letter(session, run_id)
            asks_at = time.monotonic() + _ASKS_EACH
        if tables is None and now - began > _BEGINS_WITHIN:
            raise Problem(f"The request {run_id} has not become a run in {_BEGINS_WITHIN:.0f} s.", _WHERE_TO_LOOK)
        time.sleep(_EACH)


def _look_for_dead_letter(session: Session, run_id: str) -> None:
    """Raise Problem if the request has been dead-lettered. All dead letters are given back at once."""
    with Mailbox(session.pubsub, session.settings.dead_letters_subscription) as mailbox:
        letter = next((each for each in mailbox.letters() if each.run_id == run_id), None)
    if letter:
        kind = WrongUse if _UNKNOWN_TABLE in letter.reason else Problem
        raise kind(f"The request {run_id} has been dead-lettered: {letter.reason}", "Correct it, and ask again.")


def _show(screen: Screen, waiting: Waiting, tables: list[TableOfRun], seen: dict[str, str], elapsed: float) -> None:
    """A line for each table that has come further since the last look, and the sum of all on the last line."""
    for each in tables:
        if seen.get(each.table, WAITING) != each.state:
            reason = f"  {each.reason}" if each.reason else ""
            screen.step(f"{elapsed:7.1f} s  {each.state:9} {each.table}{reason}", _STYLES.get(each.state, ""))
        seen[each.table] = each.state
    waiting.say(f"{sum(each.state in OVER for each in tables)} of {len(tables)} tables are over: {_counted(tables)}")


def _sum_up(screen: Screen, pipeline: Pipeline, tables: list[TableOfRun]) -> None:
    """The last line. Exits with 1 if a table failed."""
    screen.say(f"The run is over: {_counted(tables)}.")
    failed = [each for each in tables if each.state == records.FAILED]
    again = f"ask again: mirror request {pipeline.name} --follow"
    if failed and not any(each.function for each in failed):  # of these no message is dead-lettered
        screen.say(f"Remove what made them fail, and {again}")
        raise SystemExit(1)
    if failed:
        screen.say("Remove what made them fail, and then replay them. What would be: mirror replay --dry-run")
        if not all(each.function for each in failed):
            screen.say(f"For those that cannot be mirrored as they are, {again}")
        raise SystemExit(1)
    screen.say(f"See the whole: mirror status {pipeline.name}")


def _counted(tables: list[TableOfRun]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(each.state for each in tables).items())
