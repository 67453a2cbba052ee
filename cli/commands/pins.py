"""`mirror pin` and `mirror unpin`: which day views show."""

import shlex
from collections.abc import Callable

import click

from cli.problems import WrongUse
from cli.screen import WARN
from cli.session import SEE, Session, command, day
from shared.errors import Busy, Told
from shared.tables import Shard

_REFUSED = "refresh_views will refuse it all, and every view stays as it is."


@command
@click.argument("pipeline")
@click.argument("views", nargs=-1, required=True, metavar="VIEW...")
@click.option("--date", "on", required=True, metavar="DAY", help="The day to show, as 2026-11-01.")
def pin(session: Session, pipeline: str, views: tuple[str, ...], on: str) -> None:
    """
    Have each VIEW of PIPELINE show one day.

    It shows that day, which may be an earlier one, until it is unpinned. A view is named as it is in BigQuery, such as
    sales__orders. If one VIEW has no shard of that day, all are left as they are.
    """
    known = session.settings.pipeline(pipeline)
    pinned = day(on, known)
    _ask(session, known.name, views, pinned.isoformat())
    names = shlex.join(views)
    session.screen.say(f"Asked for {_views(views)} of {known.name} to show {pinned}.")
    shards = known.shards_dataset
    for view in _missing(session, views, lambda view: session.warehouse.has_shard(shards, Shard(view, pinned))):
        session.screen.say(f"There is no {Shard(view, pinned).name} in {shards}: {_REFUSED}", WARN)
    session.screen.say(SEE.format(known.name))
    session.screen.say(f"To have the newest day again: mirror unpin {known.name} {names}")


@command
@click.argument("pipeline")
@click.argument("views", nargs=-1, required=True, metavar="VIEW...")
def unpin(session: Session, pipeline: str, views: tuple[str, ...]) -> None:
    """Have each VIEW of PIPELINE show its newest day again."""
    known = session.settings.pipeline(pipeline)
    _ask(session, known.name, views, "newest")
    session.screen.say(f"Asked for {_views(views)} of {known.name} to show the newest day.")
    dataset = known.views_dataset
    for view in _missing(session, views, lambda view: session.warehouse.view(dataset, view) is not None):
        session.screen.say(f"There is no view {view} in {dataset}: {_REFUSED}", WARN)
    session.screen.say(SEE.format(known.name))


def _ask(session: Session, pipeline: str, views: tuple[str, ...], shard_date: str) -> None:
    if not all(views):
        raise WrongUse("A view has no name.", f"See the views: mirror status {pipeline}")
    message = {"pipeline": pipeline, "tables": list(views), "shard_date": shard_date}
    message_id = session.publish(session.settings.view_refreshes_topic, message)
    session.screen.result({"pipeline": pipeline, "message_id": message_id, "message": message})


def _missing(session: Session, views: tuple[str, ...], is_there: Callable[[str], bool]) -> list[str]:
    """The views for which `is_there` is false. None where you may not look, and for a program, which hears of it by no line."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    if session.screen.as_json:
        return []
    try:
        return [view for view in views if not is_there(view)]
    except (GoogleAPICallError, RetryError, GoogleAuthError, OSError, Busy, Told):
        return []


def _views(views: tuple[str, ...]) -> str:
    return f"the view {views[0]}" if len(views) == 1 else f"{len(views)} views"
