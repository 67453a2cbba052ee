"""A table is to be exported: see its pair of files made, sealed and announced."""

import os
from datetime import timedelta

import functions_framework

from shared.exporting import delivery
from shared.gcp.bigquery import BigQuery
from shared.gcp.cloudsql import CloudSql
from shared.gcp.listeners import listeners
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.messages import exports
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.settings import Settings
from shared.times import SystemClock

settings = Settings.from_env(os.environ, "TABLE_EXPORTED_TOPIC")
topics = PubSub(settings)
services = delivery.ExportServices(
    cloudsql=CloudSql(settings.cloudsql_admin_endpoint),
    storage=Storage(settings.project),
    announcements=topics,
    requests=topics if settings.mirror_requests_topic else None,
    listeners=listeners(settings, topics),
    shards=BigQuery(settings.project),
    clock=SystemClock(),
    wait_budget=timedelta(seconds=settings.wait_budget_seconds),
)


@functions_framework.cloud_event
@handler(topics)
def export_table(event: Event) -> Outcome:
    message = event.expect_message()
    export = exports.table_export(message, settings.pipelines)
    return delivery.export_table(
        export,
        message.published_at,
        services,
        is_replay=message.is_replay,
        is_out_of_order=message.is_out_of_order,
    )
