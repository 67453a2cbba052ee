"""Which pipeline's job a Dataflow event is about."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.pipelines import Pipeline
from shared.refreshing import dataflow_events
from shared.refreshing.dataflow_events import JobEnded


def pipeline(name: str, loader: str = "scio") -> Pipeline:
    return Pipeline(name, "p:r:db", "db", "mirror@p.iam", "bucket", f"{name}_shards", f"{name}_views", loader=loader)


PIPELINES = {each.name: each for each in (pipeline("billing"), pipeline("billing-eu"), pipeline("own", "bigquery"))}
ENDED = datetime(2026, 11, 22, 0, 21, tzinfo=UTC)


def event(**job: Any) -> dict[str, Any]:
    payload = {"currentState": "JOB_STATE_DONE", "currentStateTime": "2026-11-22T00:21:00Z", "name": "mirror"}
    return {"payload": payload | job}


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ({"name": "mirror-billing"}, "billing"),
        ({"name": "mirror-billing-20261122"}, "billing"),
        ({"name": "mirror-billing-eu-20261122"}, "billing-eu"),
        ({"labels": {"mirror_pipeline": "billing"}}, "billing"),
        ({"labels": {"team": "data", "mirror_pipeline": "billing-eu"}}, "billing-eu"),
        ({"name": "mirror-billing-eu", "labels": {"mirror_pipeline": "billing"}}, "billing"),
        ({"name": "mirror-billing", "labels": {"db": "billing-eu"}}, "billing"),
    ],
)
def test_a_name_or_a_label_names_the_pipeline_and_the_label_is_believed_first(job: dict[str, Any], name: str) -> None:
    found = dataflow_events.read(event(**job), PIPELINES)

    assert found
    assert found.pipeline.name == name
    assert (found.ended_at, found.failed) == (ENDED, False)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mirror",
        "billing",
        "billing-1",
        "nightly-billing-1",
        "mirror-billings",
        "mirror-billing_1",
        "own",
        "mirror-own",
    ],
)
def test_another_job_is_none(name: str) -> None:
    assert dataflow_events.read(event(name=name), PIPELINES) is None


def test_a_job_that_failed_is_told_as_one() -> None:
    found = dataflow_events.read(event(name="mirror-billing", currentState="JOB_STATE_FAILED"), PIPELINES)

    assert found == JobEnded(PIPELINES["billing"], "mirror-billing", ENDED, failed=True)


@pytest.mark.parametrize("labels", [{"db": "billing"}, {"mirror_pipeline": "other"}, {"mirror_pipeline": "own"}])
def test_another_label_or_another_pipelines_vouches_for_nothing(labels: dict[str, str]) -> None:
    assert dataflow_events.read(event(labels=labels), PIPELINES) is None


def test_a_state_that_is_no_end_is_none() -> None:
    assert dataflow_events.read(event(name="mirror-billing", currentState="JOB_STATE_RUNNING"), PIPELINES) is None


_JUNK = st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())


@given(st.sampled_from(["currentState", "currentStateTime", "name", "labels"]), _JUNK)
def test_whatever_stands_in_an_event_it_is_read_or_malformed(key: str, junk: Any) -> None:
    said = event(name="mirror-billing") | {}
    said["payload"][key] = junk

    try:
        found = dataflow_events.read(said, PIPELINES)
    except Permanent:
        return
    assert found is None or isinstance(found, JobEnded)


@given(_JUNK)
def test_whatever_an_event_is_it_is_malformed(junk: Any) -> None:
    with pytest.raises(Permanent, match="malformed Dataflow event"):
        dataflow_events.read(junk, PIPELINES)
