"""What sets off a refresh."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import Permanent
from shared.messages.events import LOG_ENTRY_WRITTEN, Event
from shared.messages.message import Message
from shared.messages.requests import ViewRefresh
from shared.pipelines import Pipeline
from shared.refreshing import signals
from shared.refreshing.bigquery_events import Truncated
from shared.refreshing.dataflow_events import STATUS_CHANGED, JobEnded

BILLING = Pipeline("billing", "p:r:db", "billing_db", "mirror@p.iam", "p-mirror", "shards", "views", loader="scio")
PIPELINES = {"billing": BILLING}
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
ENTRY = {
    "protoPayload": {
        "methodName": "google.cloud.bigquery.v2.JobService.InsertJob",
        "resourceName": "projects/p/jobs/mirror_1",
    }
}
WRITTEN = Truncated("p", "mirror_1", None)


def published(content: Any, log_entry: Any = None) -> Event:
    message = Message("projects/p/topics/t", "9912", datetime(2026, 11, 22, tzinfo=UTC), json.dumps(content).encode())
    return Event(PUBLISHED, {"message": {}}, message, log_entry)


def test_an_entry_of_the_audit_log_is_heard_whoever_brings_it() -> None:
    assert signals.read(Event(LOG_ENTRY_WRITTEN, ENTRY, log_entry=ENTRY), PIPELINES) == WRITTEN
    assert signals.read(published(ENTRY, log_entry=ENTRY), PIPELINES) == WRITTEN


def test_any_other_message_is_somebodys_request() -> None:
    assert signals.read(published({"pipeline": "billing"}), PIPELINES) == ViewRefresh(BILLING)


def test_the_end_of_a_dataflow_job_is_heard() -> None:
    job = {"currentState": "JOB_STATE_DONE", "currentStateTime": "2026-11-22T00:21:00Z", "name": "mirror-billing"}

    ended = signals.read(Event(STATUS_CHANGED, {"payload": job}), PIPELINES)

    assert ended == JobEnded(BILLING, "mirror-billing", datetime(2026, 11, 22, 0, 21, tzinfo=UTC), failed=False)


@pytest.mark.parametrize("kind", [PUBLISHED, "some.other"])
def test_an_event_of_another_kind_says_nothing(kind: str) -> None:
    assert signals.read(Event(kind, {"message": None}), PIPELINES) is None


@pytest.mark.parametrize(
    "event",
    [
        Event(LOG_ENTRY_WRITTEN, None),
        Event(LOG_ENTRY_WRITTEN, {"protoPayload": 7}, log_entry={"protoPayload": 7}),
        Event(STATUS_CHANGED, None),
        published({"pipeline": "gone"}),
        published({"protoPayload": None}, log_entry={"protoPayload": None}),
    ],
    ids=["no entry", "a broken entry", "no job", "no pipeline", "a broken entry in a message"],
)
def test_what_is_malformed_is_permanent(event: Event) -> None:
    with pytest.raises(Permanent):
        signals.read(event, PIPELINES)
