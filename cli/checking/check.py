"""What each part of a check works with: the pipeline, its bucket, its messages, and patience."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from cli.checking.steps import Found, Steps, parted
from cli.mailbox import Mailbox
from cli.problems import Problem
from cli.session import Session
from shared.errors import Busy
from shared.pipelines import Pipeline

if TYPE_CHECKING:
    from cli.objects import Objects

Thing = TypeVar("Thing")
EACH = 0.5
"""Seconds between two looks."""
_ASKS_AFTER, _ASKS_EACH = 4.0, 10.0
"""Seconds until the first look at the dead letters, and between two."""


class DeadLettered(Exception):  # noqa: N818 - it says what became of a message
    """A message that an answer is awaited to has been given up, for this reason."""


@dataclass(frozen=True)
class Check:
    """
    A check of a pipeline. `timeout`: seconds in which something has to come.

    `plans`: the messages that have asked for a plan, which is an object to be removed.
    """

    session: Session
    pipeline: Pipeline
    steps: Steps
    timeout: float
    plans: list[str] = field(default_factory=list)

    @cached_property
    def bucket(self) -> "Objects":
        return self.session.bucket(self.pipeline)

    def ask(self, **content: Any) -> str:
        """Publish a request about the pipeline, and give the message's id."""
        topic = self.session.settings.mirror_requests_topic
        return self._publish(topic, content)

    def refresh(self, table_id: str, **content: Any) -> str:
        """Publish a wish for a view, and give the message's id."""
        return self._publish(self.session.settings.view_refreshes_topic, {"tables": [table_id], **content})

    def awaited(self, look: Callable[[], Thing | None], message_id: str, within: float) -> Thing | None:
        """
        What a look gives, as soon as it gives something. None if it does not in time.

        Raises DeadLettered if the message is a dead letter that it is the answer to.
        """
        began = time.monotonic()
        asks_at = began + _ASKS_AFTER
        while True:
            found = patient(look)
            is_late = time.monotonic() - began > within
            if found is None and (is_late or time.monotonic() > asks_at):
                self._look_for_letter(message_id)
                asks_at = time.monotonic() + _ASKS_EACH
            if found is not None or is_late:
                return found
            time.sleep(EACH)

    def asked(
        self, look: Callable[[], Found | None], message_id: str, late: Found, within: float | None = None
    ) -> Found:
        """
        What a look finds, or, where the message is a dead letter, why.

        `late`: what is found where neither comes in `within` seconds, which are otherwise the check's time.
        """
        try:
            return self.awaited(look, message_id, within or self.timeout) or late
        except DeadLettered as reason:
            said, remedy = parted(str(reason))
            return Found(False, said, remedy or late.remedy)

    def log_of(self, function: str) -> str:
        """The command that shows what a function has logged."""
        project = self.session.settings.project
        return f"gcloud logging read 'jsonPayload.function=\"{function}\"' --project {project} --freshness 1h"

    def behind(self, topic: str, function: str) -> str:
        """What to look at where a message has led to nothing."""
        name = f"{topic}-{function.replace('_', '-')}"
        return (
            f"See that the subscription {name} is there, that it pushes to {function}, and that its account may call it "
            f"(terraform apply makes all three); then read the log: {self.log_of(function)}"
        )

    def _publish(self, topic: str, content: dict[str, Any]) -> str:
        return self.session.publish(topic, {"pipeline": self.pipeline.name, **content})

    def _look_for_letter(self, message_id: str) -> None:
        settings = self.session.settings
        try:
            with Mailbox(self.session.pubsub, settings.dead_letters_subscription) as mailbox:
                letter = next((each for each in mailbox.letters() if each.run_id == message_id), None)
        except Problem:
            return  # you may not look
        if letter:
            raise DeadLettered(letter.reason)


def patient(look: Callable[[], Thing | None]) -> Thing | None:
    """What a look gives. None where the service is busy."""
    try:
        return look()
    except Busy:
        return None
