"""A delivery of a message: what is in it, and which run and day it belongs to."""

from datetime import UTC, datetime

import pytest

from shared.errors import Permanent
from shared.messages.message import Message

GIVEN_UP_AT = "CloudPubSubDeadLetterSourceTopicPublishTime"
PUBLISHED_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def delivered(message_id: str = "9912", attributes: dict[str, str] | None = None, data: bytes = b"{}") -> Message:
    return Message("projects/p/topics/mirror-requests", message_id, PUBLISHED_AT, data, attributes or {})


def test_a_replay_belongs_to_the_run_and_the_day_of_the_first() -> None:
    message = delivered(message_id="10001", attributes={"message_id": "9000", "publish_time": "2026-11-20T23:59:59.5Z"})

    assert (message.origin_id, message.origin_time) == (
        "9000",
        datetime(2026, 11, 20, 23, 59, 59, 500_000, tzinfo=UTC),
    )


def test_a_message_that_is_no_replay_is_its_own_origin() -> None:
    message = delivered()

    assert (message.origin_id, message.origin_time) == ("9912", PUBLISHED_AT)


def test_a_message_that_pubsub_gave_up_on_keeps_its_day() -> None:
    message = delivered(attributes={GIVEN_UP_AT: "2026-11-20T17:24:08.041+00:00"})

    assert message.origin_time == datetime(2026, 11, 20, 17, 24, 8, 41_000, tzinfo=UTC)


@pytest.mark.parametrize("origin", ["", ".", "..", "open", "over", "../x", "9912\n", "a" * 129, "é"])
def test_a_replay_with_an_impossible_id_is_refused_by_it(origin: str) -> None:
    message = delivered(attributes={"message_id": origin})

    with pytest.raises(Permanent, match="message_id"):
        _ = message.origin_id


@pytest.mark.parametrize("origin", ["yesterday", "2026-02-30T00:00:00Z", "2026-11-20T00:00:00"])
def test_a_replay_with_an_impossible_time_is_refused_by_it(origin: str) -> None:
    message = delivered(attributes={"publish_time": origin})

    with pytest.raises(Permanent, match=f"publish_time .*{origin}"):
        _ = message.origin_time


@pytest.mark.parametrize("attribute", ["message_id", "source_topic", GIVEN_UP_AT])
def test_a_message_out_of_the_dead_letters_is_a_replay(attribute: str) -> None:
    assert delivered(attributes={attribute: "x"}).is_replay
    assert not delivered(attributes={"by": "hand"}).is_replay


@pytest.mark.parametrize("attribute", ["message_id", "source_topic", GIVEN_UP_AT, "relist"])
def test_a_message_that_comes_by_itself_is_out_of_the_order_of_its_run(attribute: str) -> None:
    assert delivered(attributes={attribute: "x"}).is_out_of_order


@pytest.mark.parametrize("attributes", [{}, {"by": "hand"}, {"replay": "true"}])
def test_one_of_a_whole_run_is_not_though_its_request_was_published_again(attributes: dict[str, str]) -> None:
    assert not delivered(attributes=attributes).is_out_of_order


def test_the_content_of_a_message_is_its_json() -> None:
    assert delivered(data=b'{"pipeline": "billing"}').content == {"pipeline": "billing"}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_message_that_is_no_json_has_no_content(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        _ = delivered(data=data).content
