"""How long the handler waits for what is denied, whichever function it is."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.http import CloudEvent
from werkzeug.exceptions import ServiceUnavailable

from shared.errors import Denied
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.message import Message
from shared.messages.outcome import Outcome


class Letters:
    """The topic of dead letters."""

    def __init__(self) -> None:
        self.buried: list[tuple[str, str]] = []

    def dead_letter(self, message: Message, function: str, error: str) -> None:  # noqa: ARG002 - the port's
        self.buried.append((function, error))


def push(attempt: Any = None, *, age: timedelta = timedelta(0)) -> CloudEvent:
    envelope = {
        "id": "9912",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": "//pubsub.googleapis.com/projects/p/topics/table-exports",
    }
    published = {
        "data": base64.b64encode(b"{}").decode(),
        "messageId": "9912",
        "publishTime": (datetime.now(UTC) - age).isoformat(),
    }
    return CloudEvent(envelope, {"message": published, "deliveryAttempt": attempt})


def deliver(event: CloudEvent) -> list[tuple[str, str]]:
    """The dead letters of a function that is denied what it needs."""

    def export_table(_: Event) -> Outcome:
        raise Denied("no access: grant it", "op1")

    letters = Letters()
    handler(letters)(export_table)(event)
    return letters.buried


@pytest.mark.parametrize(("attempt", "minutes"), [(1, 0), (4, 0), (4, 3 * 24 * 60), (None, 0), (0, 0), ("9", 0)])
def test_it_is_handed_back_at_first(attempt: Any, minutes: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServiceUnavailable):
        deliver(push(attempt, age=timedelta(minutes=minutes)))

    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["severity"], line["outcome"], line["operation"]) == ("WARNING", "waiting", "op1")
    assert line["message"] == "no access: grant it"


@pytest.mark.parametrize(("attempt", "minutes"), [(5, 0), (99, 0), (None, 11), (0, 11)])
def test_it_is_given_up_at_last(attempt: Any, minutes: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert deliver(push(attempt, age=timedelta(minutes=minutes))) == [("export_table", "no access: grant it")]

    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["severity"], line["outcome"], line["operation"]) == ("ERROR", "dead", "op1")


def test_of_an_event_that_nobody_can_publish_again_it_is_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    event = CloudEvent({"id": "e1", "type": "google.cloud.audit.log.v1.written", "source": "//cloudaudit"}, {})

    assert deliver(event) == []

    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["severity"], line["outcome"]) == ("ERROR", "dead")
