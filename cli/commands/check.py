"""`mirror check`: prove the whole way, from the request to the view, by canaries."""

import time

import click

from cli.checking import leftovers, looks, proof
from cli.checking.check import Check
from cli.checking.run import CanaryRun
from cli.checking.steps import Found, Steps, words
from cli.problems import Problem
from cli.screen import Waiting
from cli.session import Session, command
from shared.errors import Told

_TIMEOUT = 180
_LISTED_WITHIN = 30.0
"""Seconds that the run of canaries gets to be listed where list_tables has not answered before. It needs no database for that."""


@command
@click.argument("pipeline")
@click.option(
    "--timeout",
    type=click.IntRange(1, 900),  # a later request is not begun
    default=_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long something may take to come.",
)
def check(session: Session, pipeline: str, timeout: int) -> None:
    """
    Prove the whole way of PIPELINE, from the request to the view.

    It looks at what the mirror needs, and then sends canaries through it: a few constant rows each, in the place of a table. It
    compares the values of their views with them, pins and unpins one, and removes all that the canaries have left. No table of
    yours is touched. Each step says whether it is good, and what to do where it is not. What you may not look at is no fault.
    The exit code is 1 if a step is not good. Let one check of a pipeline run at a time.
    """
    known = session.settings.pipeline(pipeline)
    checking = Check(session, known, Steps(session.screen), timeout)
    is_proven = False
    try:
        with session.screen.waiting(f"checking {known.name}: what comes may take {timeout:g} s …") as waiting:
            is_proven = _prove(checking, waiting)
    except Told as error:
        raise Problem(f"The check has ended early: {words(error)}", "Check again") from error
    finally:
        session.screen.result([each.to_json() for each in checking.steps.all])
    bad = sum(each.result.ok is False for each in checking.steps.all)
    if bad or not is_proven:
        session.screen.say(f"{bad} of {len(checking.steps.all)} steps are not good: begin with the first.")
        raise SystemExit(1)
    session.screen.say(f"The mirror of {known.name} is good. To begin: mirror request {known.name} --follow")


def _prove(checking: Check, waiting: Waiting) -> bool:
    """Take all steps, and say whether canaries were sent. What a check has left is removed, however it ends."""
    run_ids: list[str] = []
    try:
        looks.take(checking)
        answers = looks.take_catalog(checking)
        if looks.take_lane(checking):
            _remove_of_others(checking)
            run_ids.append(checking.ask(check=True))
            run = CanaryRun(checking, run_ids[0])
            is_listed = run.is_listed(checking.timeout if answers else min(_LISTED_WITHIN, checking.timeout))
            if is_listed and not answers:
                looks.tell_late(checking)
            if is_listed:
                run.follow()
            proof.take(checking, run.shown)
        elif not answers:
            looks.tell_silent(checking)
    finally:
        if run_ids or checking.plans:
            waiting.say("removing what the canaries have left …")
            _remove(checking, run_ids)
    return bool(run_ids)


def _remove_of_others(checking: Check) -> None:
    """Remove what checks have left that were cut off."""
    left = leftovers.left_behind(checking)
    if left:
        checking.steps.look("left behind", lambda: leftovers.remove(checking, left, own=False))


def _remove(checking: Check, run_ids: list[str]) -> None:
    """Remove what this check has left. Who is tired of that, and presses Ctrl-C once more, is told what is still there."""
    began = time.monotonic()
    try:
        checking.steps.look("removed", lambda: leftovers.remove(checking, run_ids))
    except KeyboardInterrupt:
        said = f"not removed: what the run {' '.join(run_ids) or 'of this check'} has left. The next check removes it"
        checking.steps.add("removed", time.monotonic() - began, Found(False, said))
        raise
