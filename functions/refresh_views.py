"""A shard is complete, or somebody asks: move views to the newest shard."""

import os

import functions_framework

from shared.gcp.bigquery_views import BigQueryViews
from shared.gcp.listeners import listeners
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.refreshing import refresh, signals
from shared.refreshing.services import RefreshServices
from shared.settings import Settings
from shared.times import SystemClock

settings = Settings.from_env(os.environ)
topics = PubSub(settings)
services = RefreshServices(
    bigquery=BigQueryViews(settings.project),
    storage=Storage(settings.project),
    clock=SystemClock(),
    listeners=listeners(settings, topics),
)


@functions_framework.cloud_event
@handler(topics, settings.job_events_topic)
def refresh_views(event: Event) -> Outcome:
    signal = signals.read(event, settings.pipelines)
    return refresh.refresh_views(signal, settings.pipelines, services)
