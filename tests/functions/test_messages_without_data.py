"""A message of attributes alone, which Pub/Sub brings without data: it is reported as any other that says nothing."""

import json

import pytest

from tests.support.delivery import INPUTS, REQUESTED, topic
from tests.support.stage import Log, Stage


@pytest.mark.parametrize("function", INPUTS)
@pytest.mark.parametrize("push", [True, False], ids=["push", "event"])
def test_it_is_dead_lettered_with_its_attributes_and_the_reason(
    stage: Stage, log: Log, function: str, push: bool
) -> None:
    hears = stage.function(function)

    status = hears.receive(None, attributes={"by": "hand"}, push=push)

    [letter] = stage.published("dead-letters")
    [line] = log()
    attributes = dict(letter.attributes)
    assert status == 200
    assert letter.data == b""
    assert attributes.pop("error").endswith("it has no data")
    assert attributes == {
        "by": "hand",
        "function": function,
        "source_topic": topic(INPUTS[function]),
        "message_id": "9912",
        "publish_time": REQUESTED,
        "ordering_key": "",
    }
    assert (line["outcome"], line["severity"]) == ("dead", "ERROR")


def test_its_replay_is_dead_lettered_again(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(None, push=True)
    [letter] = stage.published("dead-letters")

    status = export_table.receive(None, message_id="10000", attributes=dict(letter.attributes), push=True)

    [again] = stage.published("dead-letters")
    assert status == 200
    assert again.attributes["message_id"] == "9912"


def test_a_push_with_data_is_heard_as_before(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint)")
    list_tables = stage.function("list_tables")

    status = list_tables.receive({"pipeline": "billing"}, push=True)

    [message] = stage.published("table-exports")
    assert status == 200
    assert json.loads(message.data)["table"] == "orders"
