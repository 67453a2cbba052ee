"""Eventarc's deliveries, as a function would see them."""

import json
from threading import Event
from time import monotonic, sleep

from local.eventarc import Eventarc
from local.server import Answer, Call, Server

HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "ce-id": "1",
    "ce-type": "google.cloud.audit.log.v1.written",
    "ce-subject": "tables/Ünï 100%",
}


def settled(eventarc: Eventarc) -> bool:
    until = monotonic() + 5
    while not eventarc.idle() and monotonic() < until:
        sleep(0.005)
    return eventarc.idle()


def test_an_event_arrives_as_a_binary_cloud_event() -> None:
    calls: list[Call] = []

    def receive(call: Call) -> Answer:
        calls.append(call)
        return Answer(200)

    server = Server(receive)
    with Eventarc(server.url) as eventarc:
        eventarc.deliver(HEADERS, {"insertId": "x"})
        assert settled(eventarc)
    server.stop()

    (call,) = calls
    assert (call.verb, call.target, json.loads(call.body)) == ("POST", "/", {"insertId": "x"})
    assert call.headers["ce-type"] == "google.cloud.audit.log.v1.written"
    assert call.headers["ce-subject"] == "tables/%C3%9Cn%C3%AF%20100%25"
    assert call.headers.get_all("content-type") == ["application/json; charset=utf-8"]


def test_what_fails_is_delivered_again() -> None:
    answers = iter([500, 429, 200])
    calls: list[Call] = []

    def receive(call: Call) -> Answer:
        calls.append(call)
        return Answer(next(answers))

    server = Server(receive)
    with Eventarc(server.url, min_backoff=0.001) as eventarc:
        eventarc.deliver(HEADERS, {})
        assert settled(eventarc)
    server.stop()

    assert [call.headers["ce-id"] for call in calls] == ["1", "1", "1"]


def test_events_are_delivered_side_by_side_and_twice_if_told() -> None:
    second, ids = Event(), []

    def receive(call: Call) -> Answer:
        if json.loads(call.body)["first"]:
            assert second.wait(5)
        ids.append(call.headers["ce-id"])
        second.set()
        return Answer(200)

    server = Server(receive)
    with Eventarc(server.url) as eventarc:
        eventarc.deliver_twice = True
        eventarc.deliver(HEADERS, {"first": True})
        eventarc.deliver(HEADERS | {"ce-id": "2"}, {"first": False})
        assert not eventarc.idle()
        assert settled(eventarc)
    server.stop()

    assert sorted(ids) == ["1", "1", "2", "2"]


def test_an_endpoint_that_is_not_there_yet_is_tried_again_until_stopped() -> None:
    server = Server(lambda _: Answer(200))
    server.stop()

    with Eventarc(server.url, min_backoff=0.001) as eventarc:
        eventarc.deliver(HEADERS, {})
        sleep(0.02)
        assert not eventarc.idle()
