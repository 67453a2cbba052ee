"""A shard is complete, or somebody asks: move views to the newest shard."""

import os

import functions_framework
from cloudevents.http import CloudEvent

from shared import refreshing
from shared.clock import SystemClock
from shared.gcp.bigquery import BigQuery
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.handler import handler
from shared.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ)
topics = PubSub(settings)
services = refreshing.Services(
    warehouse=BigQuery(settings.project),
    storage=Storage(settings.project),
    clock=SystemClock(),
    run_announcements=topics if settings.run_exported_topic else None,
)


@functions_framework.cloud_event
@handler(topics)
def refresh_views(event: CloudEvent) -> Outcome:
    return refreshing.refresh_views(refreshing.read(event, settings.pipelines), settings.pipelines, services)
