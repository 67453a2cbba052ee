"""A shard is complete, or somebody asks: move views to the newest shard."""

import os

import functions_framework

from shared.gcp.bigquery_ledger import BigQueryLedger
from shared.gcp.bigquery_views import BigQueryViews
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.refreshing import refresh, signals
from shared.refreshing.services import RefreshServices
from shared.runs.announcing import Listeners
from shared.settings import Settings
from shared.times import SystemClock

settings = Settings.from_env(os.environ)
topics = PubSub(settings)
listeners = Listeners(
    exported=topics if settings.run_exported_topic else None,
    shown=topics if settings.run_shown_topic else None,
    ledger=BigQueryLedger(settings.project, settings.ops_dataset) if settings.ops_dataset else None,
)
services = RefreshServices(
    bigquery=BigQueryViews(settings.project),
    storage=Storage(settings.project),
    clock=SystemClock(),
    listeners=listeners,
)


@functions_framework.cloud_event
@handler(topics, settings.job_events_topic)
def refresh_views(event: Event) -> Outcome:
    signal = signals.read(event, settings.pipelines)
    return refresh.refresh_views(signal, settings.pipelines, services)
