"""Small tables are to be read, all at one moment: see the pair of files of each made, sealed and announced."""

import os
from datetime import timedelta

import functions_framework

from shared.exporting import snapshot
from shared.gcp.bigquery import BigQuery
from shared.gcp.listeners import listeners
from shared.gcp.pubsub import PubSub
from shared.gcp.snapshots import Readings
from shared.gcp.storage import Storage
from shared.messages import snapshots
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.settings import Settings
from shared.times import SystemClock

settings = Settings.from_env(os.environ, "TABLE_EXPORTED_TOPIC", "TABLE_EXPORTS_TOPIC")
topics = PubSub(settings)
services = snapshot.SnapshotServices(
    database=Readings(settings.cloudsql_admin_endpoint),
    storage=Storage(settings.project),
    announcements=topics,
    letters=topics,
    requests=topics if settings.mirror_requests_topic else None,
    listeners=listeners(settings, topics),
    datasets=BigQuery(settings.project),
    clock=SystemClock(),
    wait_budget=timedelta(seconds=settings.wait_budget_seconds),
)


@functions_framework.cloud_event
@handler(topics)
def read_snapshot(event: Event) -> Outcome:
    message = event.expect_message()
    wish = snapshots.snapshot_read(message, settings.pipelines)
    return snapshot.read_snapshot(wish, services, is_replay=message.is_replay, last_try=message.last_try)
