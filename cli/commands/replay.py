"""`mirror replay`: publish dead letters again, when what made them fail is mended."""

from collections import defaultdict
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
class _Sent:
    """A dead letter, and what has become of it: `failure` says why it was not published."""

    letter: Letter
    is_published: bool = False
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "message_id": self.letter.pulled.message_id,
            "source_topic": self.letter.source_topic or None,
            "about": self.letter.table or None,
            "published": self.is_published,
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
    sent = []
    with (
        session.screen.waiting("looking at the dead letters …") as waiting,
        Mailbox(session.pubsub, session.settings.dead_letters_subscription) as mailbox,
    ):
        for letter in mailbox.letters():
            if function in (None, letter.function) and (table is None or letter.is_about(table)):
                sent.append(_Sent(letter) if dry_run else _published(session, mailbox, letter))
                waiting.say(f"{len(sent)} dead letters …")
    _report(session, sent, dry_run=dry_run)
    if any(each.failure for each in sent):
        raise SystemExit(1)


def _published(session: Session, mailbox: Mailbox, letter: Letter) -> _Sent:
    """Publish it with its data, its attributes and its ordering key, and acknowledge it when that is confirmed."""
    if not letter.source_topic:
        return _Sent(letter, failure="it does not say which topic it came from: publish it by hand")
    try:
        key = letter.ordering_key(session.settings.pipelines)
        session.pubsub.publish(letter.source_topic, letter.pulled.data, letter.pulled.attributes, key)
    except Problem as problem:
        return _Sent(letter, failure=problem.message)
    mailbox.acknowledge(letter)
    return _Sent(letter, is_published=True)


def _report(session: Session, sent: list[_Sent], *, dry_run: bool) -> None:
    """What has become of them, by function and reason, those first of which most are here."""
    groups: dict[tuple[str, str], list[_Sent]] = defaultdict(list)
    for each in sent:
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
    if not sent:
        session.screen.say("No dead letters came.")
        return
    rows = [(function or "unknown", str(len(group)), _tables(group), reason) for (function, reason), group in ordered]
    session.screen.table(["function", "letters", "about", "reason"], rows)
    for failure in sorted({each.failure for each in sent if each.failure}):
        session.screen.say(f"Not published: {failure}", BAD)
    published = sum(each.is_published for each in sent)
    session.screen.say()
    if dry_run:
        session.screen.say(f"{len(sent)} would be published again: say it without --dry-run.")
    else:
        session.screen.say(f"{published} of {len(sent)} are published again. See what becomes of them: mirror status")


def _tables(group: list[_Sent]) -> str:
    tables = sorted({each.letter.table for each in group} - {""})
    more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
    return ", ".join(tables[:_SHOWN]) + more
