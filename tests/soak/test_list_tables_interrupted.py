"""A run that is interrupted while it asks for its exports goes on where it stood, as the same run."""

import json
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
import requests

from local.functions import Function, lay_out
from local.pubsub.requests import Pb, Rejected
from tests.support.cuts import cut_off
from tests.support.delivery import topic
from tests.support.interposed import interposed
from tests.support.repository import ROOT
from tests.support.stage import Log, Stage

REQUEST = {"pipeline": "billing"}
MANY = 1_100
"""Tables, more than fit in one call."""
_PUSHED: dict[str, Any] = {
    "message": {"data": "eyJwaXBlbGluZSI6ICJiaWxsaW5nIn0=", "messageId": "9912", "publishTime": "2026-01-15T02:00:00Z"},
    "subscription": "s",
    "deliveryAttempt": 7,
}
_SEEN = ("GOOGLE_", "GCE_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST")
"""How the names of the variables begin that a function in a process of its own is to see."""


@pytest.fixture
def many(stage: Stage) -> list[str]:
    stage.run(f"DO $$ BEGIN FOR n IN 1..{MANY} LOOP EXECUTE format('CREATE TABLE t%s (id int)', n); END LOOP; END $$")
    return sorted(f"t{number}" for number in range(1, MANY + 1))


def exports(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in stage.published("table-exports")]


def refused_after(stage: Stage, batches: int) -> AbstractContextManager[None]:
    """Let so many batches of messages through, and no more."""
    left = iter(range(batches))

    def publish(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        if name == "Publish" and request.topic == topic("table-exports") and next(left, None) is None:
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "No.")
        return procedure(request)

    return interposed(publish, stage.pubsub)


@pytest.mark.parametrize("batches", [0, 1])
def test_what_a_crash_left_unpublished_is_published_by_the_redelivery(
    stage: Stage, many: list[str], batches: int
) -> None:
    list_tables = stage.function("list_tables")
    with refused_after(stage, batches):
        crashed = list_tables.receive(REQUEST)
    before = exports(stage)
    stage.run("CREATE TABLE came_later (id int)")
    another = stage.function("list_tables")

    status = another.receive(REQUEST)

    after = exports(stage)
    assert (crashed, status) == (500, 200)
    assert (len(before) > 0, len(before) < MANY) == (batches > 0, True)
    assert sorted(each["table"] for each in after) == many
    assert before == after[: len(before)]
    assert {(each["run_id"], each["requested_at"]) for each in after} == {("9912", "2026-01-15T02:00:00Z")}


@pytest.mark.parametrize("step", range(6))
def test_a_crash_between_any_two_steps_loses_no_table(stage: Stage, step: int) -> None:
    stage.run("CREATE TABLE orders (id int)", 'CREATE TABLE "a b" (id int)', 'CREATE TABLE "a-b" (id int)')
    list_tables = stage.function("list_tables")

    with cut_off(stage, after=step) as calls:
        crashed = list_tables.receive(REQUEST)
    status = list_tables.receive(REQUEST)

    assert (crashed, status) == (500, 200)
    assert calls.made > step
    assert [each["table"] for each in exports(stage)] == ["orders"]
    assert stage.files() == [
        "billing/_runs/9912/digests.json",
        "billing/_runs/9912/failed/a_b.json",
        "billing/_runs/9912/manifest.json",
        "billing/_runs/open/9912",
        "billing/manifest_20260115.json",
    ]
    assert stage.published("dead-letters") == []


def test_a_publish_that_fails_halfway_does_not_block_the_lane_of_a_warm_instance(stage: Stage, many: list[str]) -> None:
    list_tables = stage.function("list_tables")
    with refused_after(stage, 1):
        list_tables.receive(REQUEST)
    exports(stage)

    of_another_run = list_tables.receive(REQUEST, message_id="9913", published="2026-01-15T03:00:00Z")

    assert of_another_run == 200
    assert sorted(each["table"] for each in exports(stage)) == many


def test_a_confirmation_that_is_lost_is_asked_for_again(stage: Stage) -> None:
    def lose(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        confirmed = procedure(request)
        if name == "Publish":
            stage.pubsub.between = None
            raise Rejected(grpc.StatusCode.UNAVAILABLE, "Try again.")
        return confirmed

    stage.run("CREATE TABLE orders (id int)")
    list_tables = stage.function("list_tables")
    stage.pubsub.between = lose

    status = list_tables.receive(REQUEST)

    first, second = exports(stage)
    assert status == 200
    assert first == second


def test_an_attempt_is_told_of_a_bare_push_too(stage: Stage, log: Log) -> None:
    stage.run("CREATE TABLE orders (id int)")
    list_tables = stage.function("list_tables")

    status = list_tables.hear({}, _PUSHED)

    [line] = log()
    assert (status, line["attempt"], line["outcome"]) == (200, 7, "listed")


def test_exports_are_asked_for_at_the_endpoint_that_the_settings_name(stage: Stage, tmp_path: Path) -> None:
    """In a process of its own, as the client knows no end of trying to reach what speaks no TLS."""
    stage.run("CREATE TABLE orders (id int)")
    lay_out(ROOT, tmp_path / "archive")
    with socket.create_server(("127.0.0.1", 0)) as endpoint:
        environ = {name: value for name, value in os.environ.items() if name.startswith(_SEEN) or "TOPIC" in name}
        environ |= {"PIPELINES": json.dumps({"billing": stage.pipeline})}
        environ |= {"PUBSUB_ENDPOINT": f"127.0.0.1:{endpoint.getsockname()[1]}"}
        python = ROOT / ".venv-deployed/bin/python"
        with Function("list_tables", tmp_path / "archive", environ, python, tmp_path / "log") as list_tables:
            delivery = Thread(target=_push, args=(list_tables.url,))
            delivery.start()
            endpoint.settimeout(30)
            connection, _ = endpoint.accept()
            with connection:
                first = connection.recv(1)
            list_tables.kill()
            delivery.join()

    assert first == b"\x16"  # of a TLS handshake
    assert exports(stage) == []


def _push(url: str) -> None:
    with suppress(requests.ConnectionError):  # it does not live to answer
        requests.post(url, json=_PUSHED, timeout=60)
