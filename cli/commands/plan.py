"""`mirror plan`: what a run would do, before there is one."""

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from cli import planned
from cli.problems import LOG_IN, Problem
from cli.screen import BAD, Screen
from cli.session import Session, command
from shared.bucket import plan_file
from shared.errors import Busy, Permanent
from shared.pipelines import Pipeline

_EACH = 0.5
"""Seconds between two looks."""
_COMES_WITHIN = 60.0
"""Seconds until list_tables should have written the plan."""
_WHERE_TO_LOOK = "Look at the log of list_tables, and at: mirror replay --function list_tables --dry-run"


@command
@click.argument("pipeline")
def plan(session: Session, pipeline: str) -> None:
    """
    Say what a run of PIPELINE would do, and do nothing.

    It shows which tables are new, gone, altered or refused, which are exported and which are read by snapshot, their sizes, and
    how long it takes by the last run. list_tables works it out, and no run begins. The exit code is 0 whenever a plan could be made.
    """
    known = session.settings.pipeline(pipeline)
    message = {"pipeline": known.name, "plan": True}
    message_id = session.publish(session.settings.mirror_requests_topic, message)
    with session.screen.waiting("waiting for list_tables to read the catalog …"):
        content = _answer(session, known, message_id)
    session.screen.result({"message_id": message_id, **content})
    if "error" in content:
        raise Problem(f"No plan of {known.name} can be made: {content['error']}.", f"{content['remedy']}.")
    _show(session.screen, content)


def _answer(session: Session, pipeline: Pipeline, message_id: str) -> dict[str, Any]:
    """The plan, when it is there. Raises Problem if it does not come, or if the bucket cannot be read."""
    from google.auth.exceptions import GoogleAuthError

    bucket, name = session.bucket(pipeline), plan_file(pipeline.name, message_id)
    until, why = time.monotonic() + _COMES_WITHIN, ""
    while time.monotonic() < until:
        try:
            if found := bucket.read(name):
                return dict(json.loads(found[0]))
        except Permanent as error:
            said = getattr(error.__cause__, "message", error)
            raise Problem(
                f"Cannot read the plan: {said}", "You need roles/storage.objectViewer on the bucket."
            ) from error
        except GoogleAuthError as error:
            raise Problem(f"Cannot read the plan: {error}", LOG_IN) from error
        except Busy as error:
            why = f" {error}."
        time.sleep(_EACH)
    place = f"gs://{pipeline.bucket}/{name}"
    raise Problem(f"No plan has come in {_COMES_WITHIN:.0f} s at {place}.{why}", _WHERE_TO_LOOK)


def _show(screen: Screen, content: Mapping[str, Any]) -> None:
    """One screen: the bad first, then what changes, then the whole."""
    rows = list(planned.rows(content))
    styles = [BAD if kind in planned.BAD else "" for _, kind, _, _ in rows]
    screen.table(["table", "what", "size", "why"], rows, styles)
    screen.say()
    for warning in content["warnings"]:
        screen.say(f"Warning: {warning}.", BAD)
    for sentence in planned.sentences(content):
        screen.say(sentence)
    screen.say(f"To begin: mirror request {content['pipeline']} --follow")
