"""A mirror is requested: publish one export for each of the database's tables, or a snapshot of the small ones."""

import os

import functions_framework

from shared.gcp.bigquery import BigQuery
from shared.gcp.listeners import listeners
from shared.gcp.postgres import Postgres
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.listing import fanout, planning, stopping
from shared.messages import replacing, requests
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.messages.requests import PlanRequest, StopRequest
from shared.settings import Settings
from shared.times import SystemClock

settings = Settings.from_env(os.environ, "TABLE_EXPORTS_TOPIC", needs_for_snapshots="SNAPSHOTS_TOPIC")
topics = PubSub(settings)
services = fanout.ListServices(
    database=Postgres(settings.cloudsql_admin_endpoint),
    storage=Storage(settings.project),
    exports=topics,
    datasets=BigQuery(settings.project),
    listeners=listeners(settings, topics),
    clock=SystemClock(),
    snapshots=topics if settings.snapshots_topic else None,
)


@functions_framework.cloud_event
@handler(topics)
def list_tables(event: Event) -> Outcome:
    request = requests.asked(event.expect_message(), settings.pipelines)
    if isinstance(request, StopRequest):
        return stopping.stop(request, services.storage)
    if isinstance(request, PlanRequest):
        return planning.write_plan(request, services)
    return fanout.list_tables(replacing.judged(request, services.clock.now(), is_replay=request.is_replay), services)
