"""Plays a schedule: requests the runs, lets everything come in their way, and tells what came of it when all is quiet."""

import io
import json
from collections import deque
from contextlib import redirect_stdout, suppress
from functools import partial
from typing import Any

from local.cloudsql import Outcome
from local.rest import ApiError
from tests.support.lane.cloud import Cloud
from tests.support.lane.played import Played
from tests.support.lane.schedules import Schedule
from tests.support.lane.subscriptions import Attempt, Subscriptions
from tests.support.standins import INSTANCE

_BROKEN = Outcome(error="ERROR:  permission denied for table broken", leaves=0.5)
_SOURCE = (
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
    "CREATE TABLE orders (id bigint NOT NULL, gone text, note text)",
    "INSERT INTO orders VALUES (1, 'g1', 'a,b'), (2, 'g2', NULL)",
    "CREATE TABLE users (id bigint NOT NULL, name text)",
    "INSERT INTO users VALUES (7, 'Ünal')",
)


def play(cloud: Cloud, schedule: Schedule) -> Played:
    """Play a schedule to its end: until nobody has anything left to do."""
    bucket, dataset = cloud.begin(relisting=schedule.relisting)
    exports = deque(schedule.exports)
    subscriptions = Subscriptions(cloud.clock, schedule.deliveries, partial(_receive, cloud))
    tables = ("broken", "orders", "users") if schedule.broken else ("orders", "users")
    played = Played(schedule, cloud, bucket, dataset, subscriptions, tables)

    def publish(topic: str, message_id: str, message: Any) -> None:
        name = topic.rpartition("/")[2]
        subscriptions.publish(name, message_id, message.data, dict(message.attributes), message.ordering_key)

    def outcome(uri: str) -> Outcome:
        return _BROKEN if "/broken_" in uri else exports.popleft() if exports else Outcome()

    cloud.on_publish, cloud.outcome = publish, outcome
    _change(played, *_SOURCE, *(["CREATE TABLE broken (id bigint)"] if schedule.broken else []))
    cloud.clock.start(partial(_request, played, 1))
    for number, moment in enumerate(sorted(schedule.later_runs), start=2):
        cloud.clock.start(partial(_request, played, number), moment)
    if schedule.altered is not None:
        cloud.clock.start(partial(_change, played, "ALTER TABLE orders DROP COLUMN gone"), schedule.altered)
    for moment, seconds in schedule.backups:
        cloud.clock.start(partial(_back_up, cloud, seconds), moment)
    with redirect_stdout(io.StringIO()) as log:
        cloud.clock.pass_all()
    played.log = log.getvalue()
    played.files = {blob.name: blob for blob in bucket.list_blobs()}
    return played


def _receive(cloud: Cloud, attempt: Attempt) -> int:
    message = attempt.message
    return cloud.functions[attempt.function].receive(
        message.data,
        message_id=message.id,
        published=message.published.isoformat(),
        attributes=message.attributes,
    )


def _request(played: Played, number: int) -> None:
    """Ask for a run, with a row that the one before has not seen."""
    run_id = f"{played.bucket.name}-{number}"
    played.runs.append(run_id)
    _change(played, f"INSERT INTO orders (id, note) VALUES ({10 * number}, 'run {number}')")
    played.subscriptions.publish("mirror-requests", run_id, json.dumps({"pipeline": "billing"}).encode(), {})


def _change(played: Played, *statements: str) -> None:
    """Change the source, and note what it holds then."""
    source = played.cloud.source
    for statement in statements:
        source.run(statement)
    for table in played.tables:
        rows = source.run(f"SELECT * FROM {table} ORDER BY id")
        names = [column["name"] for column in source.columns or ()]
        texts = [[None if value is None else str(value) for value in row] for row in rows or ()]
        state = [dict(zip(names, row, strict=True)) for row in texts]
        played.states.setdefault(table, []).append((len(played.runs), state))


def _back_up(cloud: Cloud, seconds: float) -> None:
    with suppress(ApiError):  # the instance is busy
        cloud.admin.backup(INSTANCE, seconds)
