"""`mirror replay`: publish dead letters again, when what made them fail is mended."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from cli.letters import FUNCTIONS, Letter
from cli.mailbox import Mailbox
from cli.problems import Problem, unknown
from cli.screen import BAD
from cli.session import Session, command

_SHOWN = 3
"""Tables of a group that are named."""


@dataclass(frozen=True, slots=True)
class _Replayed:
    """A dead letter, and what has become of it: the id of its new message, or why it was not published."""

    letter: Letter
    published_as: str | None = None
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "message_id": self.letter.pulled.message_id,
            "source_topic": self.letter.source_topic or None,
            "about": self.letter.table or None,
            "published_as": self.published_as,
            "failure": self.failure,
        }


@command
@click.option("--function", metavar="NAME", help="Only what this function has given up.")
@click.option("--table", metavar="TABLE", help="Only what is about this table, as orders or sales.orders.")
@click.option("--dry-run", is_flag=True, help="Show what would be published, and leave all as it is.")
def replay(session: Session, function: str | None, table: str | None, *, dry_run: bool) -> None:
    """
    Publish dead letters again, each where it came from.

    First mend what made them fail: --dry-run shows the reasons. A dead letter is removed when its message is published, and
    not before. On a later day than its run's, it only fills gaps. The exit code is 1 if one could not be published.
    """
    if function is not None and function not in FUNCTIONS:
        raise unknown("function", function, FUNCTIONS)

    def is_asked_for(letter: Letter) -> bool:
        return function in (None, letter.function) and (table is None or letter.is_about(table))

    replayed: list[_Replayed] = []
    try:
        others = _replay(session, is_asked_for, replayed, dry_run=dry_run)
    except (Problem, KeyboardInterrupt):
        if replayed:  # what is published is not taken back
            _report(session, replayed, 0, dry_run=dry_run)
        raise
    _report(session, replayed, others, dry_run=dry_run)
    if any(each.failure for each in replayed):
        raise SystemExit(1)


def _replay(
    session: Session, is_asked_for: Callable[[Letter], bool], replayed: list[_Replayed], *, dry_run: bool
) -> int:
    """Add to `replayed` what becomes of each letter that is asked for. It gives the number of the others."""
    published: set[tuple[str, bytes]] = set()
    others = 0
    with (
        session.screen.waiting("looking at the dead letters …") as waiting,
        Mailbox(session.pubsub, session.settings.dead_letters_subscription) as mailbox,
    ):
        for letter in mailbox.letters():
            if not is_asked_for(letter):
                others += 1
            elif letter.came_of() not in published:  # what fails again at once is left for the next time
                replayed.append(_Replayed(letter) if dry_run else _publish(session, letter))
                if message_id := replayed[-1].published_as:
                    mailbox.acknowledge(letter)
                    published.add(letter.came_of(message_id))
                waiting.say(f"{len(replayed)} dead letters …")
    return others


def _publish(session: Session, letter: Letter) -> _Replayed:
    """Publish it with its data, its attributes and its ordering key."""
    if not letter.source_topic:
        return _Replayed(letter, failure="it does not say which topic it came from: publish it by hand")
    try:
        key = letter.ordering_key(session.settings.pipelines)
        message_id = session.pubsub.publish(letter.source_topic, letter.pulled.data, letter.pulled.attributes, key)
    except Problem as problem:
        return _Replayed(letter, failure=problem.message)
    return _Replayed(letter, published_as=message_id)


def _report(session: Session, replayed: list[_Replayed], others: int, *, dry_run: bool) -> None:
    """What has become of them, by function and reason, those first of which most are here."""
    groups: dict[tuple[str, str], list[_Replayed]] = defaultdict(list)
    for each in replayed:
        groups[each.letter.function, each.letter.reason].append(each)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    session.screen.result(
        {
            "dry_run": dry_run,
            "groups": [
                {"function": function or None, "reason": reason, "letters": [each.to_json() for each in group]}
                for (function, reason), group in ordered
            ],
        }
    )
    if not replayed:
        came = f"No such dead letter came, but {others} other. See them: mirror replay --dry-run"
        session.screen.say(came if others else "No dead letters came.")
        return
    rows = [(function or "unknown", str(len(group)), _tables(group), reason) for (function, reason), group in ordered]
    session.screen.table(["function", "letters", "about", "reason"], rows)
    for failure in sorted({each.failure for each in replayed if each.failure}):
        session.screen.say(f"Not published: {failure}", BAD)
    session.screen.say()
    if dry_run:
        session.screen.say(f"{len(replayed)} would be published again: say it without --dry-run.")
        return
    published = sum(bool(each.published_as) for each in replayed)
    session.screen.say(f"{published} of {len(replayed)} are published again.")
    if published:
        session.screen.say("See what becomes of them: mirror status")


def _tables(group: list[_Replayed]) -> str:
    tables = sorted({each.letter.table for each in group} - {""})
    more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
    return ", ".join(tables[:_SHOWN]) + more
