"""A table is to be exported: see its pair of files made, sealed and announced."""

import os
from datetime import timedelta

import functions_framework
from cloudevents.http import CloudEvent

from shared import events, exporting, messages
from shared.clock import SystemClock
from shared.gcp.bigquery import BigQuery
from shared.gcp.cloudsql import CloudSql
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.handler import handler
from shared.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ, "TABLE_EXPORTED_TOPIC")
topics = PubSub(settings)
services = exporting.Services(
    cloudsql=CloudSql(settings.cloudsql_admin_endpoint),
    storage=Storage(settings.project),
    announcements=topics,
    requests=topics if settings.mirror_requests_topic else None,
    run_announcements=topics if settings.run_exported_topic else None,
    shards=BigQuery(settings.project),
    clock=SystemClock(),
    wait_budget=timedelta(seconds=settings.wait_budget_seconds),
)


@functions_framework.cloud_event
@handler(topics)
def export_table(event: CloudEvent) -> Outcome:
    message = events.message(event)
    export = messages.table_export(message.data, settings.pipelines)
    return exporting.export_table(export, message.published_at, services, is_replay=message.is_replay)
