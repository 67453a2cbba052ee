"""What becomes of a request that fails, and of its replay out of the dead letters."""

import json
from datetime import date
from typing import Any

import pytest

from tests.support.delivery import REQUESTED, topic
from tests.support.stage import Log, Stage

REQUEST = {"pipeline": "billing"}
NOW = "2026-11-22T12:00:00Z"


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint)")


def export(stage: Stage) -> dict[str, Any]:
    """The one export that has been asked for."""
    [message] = stage.published("table-exports")
    found: dict[str, Any] = json.loads(message.data)
    return found


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_a_dead_letter_says_all_that_a_replay_needs(stage: Stage, push: bool) -> None:
    list_tables = stage.function("list_tables")

    list_tables.receive(b"{", attributes={"origin": "by hand"}, push=push)

    [letter] = stage.published("dead-letters")
    attributes = dict(letter.attributes)
    error = attributes.pop("error")
    assert len(error.encode()) <= 1024
    assert "\n" not in error
    assert attributes == {
        "function": "list_tables",
        "source_topic": topic("mirror-requests"),
        "message_id": "9912",
        "publish_time": REQUESTED,
        "ordering_key": "",
        "origin": "by hand",
    }


def test_a_replay_is_of_the_same_run_and_day_as_the_request_that_died(stage: Stage) -> None:
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST | {"tables": ["refunds"]})
    [letter] = stage.published("dead-letters")
    stage.run("CREATE TABLE refunds (id int)")

    status = list_tables.receive(letter.data, message_id="10000", published=NOW, attributes=dict(letter.attributes))

    found = export(stage)
    assert status == 200
    assert (found["run_id"], found["shard_date"], found["requested_at"]) == ("9912", "2026-01-15", REQUESTED)
    records = [f"billing/_runs/9912/{file}.json" for file in ("digests", "manifest")]
    assert stage.files() == [*records, "billing/_runs/open/9912"]


def test_a_replay_that_dies_again_still_says_whose_it_is(stage: Stage) -> None:
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST | {"tables": ["refunds"]})
    [first] = stage.published("dead-letters")

    list_tables.receive(first.data, message_id="10000", published=NOW, attributes=dict(first.attributes))

    [second] = stage.published("dead-letters")
    assert second.data == first.data
    assert dict(second.attributes) == dict(first.attributes)


def test_a_replay_of_what_pubsub_gave_up_on_keeps_its_day(stage: Stage) -> None:
    list_tables = stage.function("list_tables")
    given_up = {
        "CloudPubSubDeadLetterSourceDeliveryCount": "100",
        "CloudPubSubDeadLetterSourceSubscription": "list-tables",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "my-project",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-15T02:00:00.123+00:00",
    }

    status = list_tables.receive(REQUEST, published=NOW, attributes=given_up)

    assert status == 200
    assert export(stage)["shard_date"] == "2026-01-15"


@pytest.mark.parametrize("attribute", [{"message_id": "../9912"}, {"publish_time": "yesterday"}])
def test_a_replay_with_a_bad_attribute_is_dead_lettered(stage: Stage, attribute: dict[str, str]) -> None:
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST, attributes=attribute)

    [letter] = stage.published("dead-letters")
    [(name, value)] = attribute.items()
    assert status == 200
    assert value in letter.attributes["error"]
    assert letter.attributes[name] == value
    assert stage.files() == []


def test_attributes_of_any_name_are_kept_in_a_dead_letter(stage: Stage) -> None:
    list_tables = stage.function("list_tables")
    attributes = {"topic": "a", "data": "b", "retry": "c", "timeout": "d", "self": "e"}

    status = list_tables.receive(b"{", attributes=attributes)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert dict(letter.attributes) == dict(letter.attributes) | attributes


def test_a_database_that_is_down_has_the_request_delivered_again(stage: Stage, log: Log) -> None:
    stage.pipeline["host"] = "127.0.0.1:1"
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    [line] = log()
    assert status == 500
    assert line["outcome"] == "waiting"
    assert stage.published("dead-letters") == []
    assert stage.files() == []


def test_a_database_that_does_not_exist_is_permanent(stage: Stage) -> None:
    stage.pipeline["database"] = "no_such_database"
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "no_such_database" in letter.attributes["error"]


def test_an_empty_database_is_an_error_that_says_so(stage: Stage) -> None:
    stage.run("DROP TABLE orders")
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "billing has no table" in letter.attributes["error"]
    assert stage.published("table-exports") == []
    assert stage.files() == []


def test_a_bucket_that_is_not_there_is_permanent(stage: Stage) -> None:
    stage.pipeline["bucket"] = "no-such-bucket"
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "no-such-bucket" in letter.attributes["error"]
    assert stage.published("table-exports") == []


def test_the_password_is_read_from_its_file_at_each_connection(stage: Stage, tmp_path: Any) -> None:
    stage.pipeline["password_file"] = str(tmp_path / "password")
    list_tables = stage.function("list_tables")
    without = list_tables.receive(REQUEST, attempt=1)
    (tmp_path / "password").write_text("secret\n")

    status = list_tables.receive(REQUEST)

    assert (without, status) == (503, 200)
    assert date.fromisoformat(export(stage)["shard_date"])
