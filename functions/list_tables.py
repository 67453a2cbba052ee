"""A mirror is requested: publish one export for each of the database's tables."""

import os

import functions_framework
from cloudevents.http import CloudEvent

from shared import events, listing, messages
from shared.gcp.postgres import Postgres
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.handler import handler
from shared.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ, "TABLE_EXPORTS_TOPIC")
topics = PubSub(settings)
services = listing.Services(
    database=Postgres(),
    storage=Storage(settings.project),
    exports=topics,
    run_announcements=topics if settings.run_exported_topic else None,
)


@functions_framework.cloud_event
@handler(topics)
def list_tables(event: CloudEvent) -> Outcome:
    return listing.list_tables(messages.mirror_request(events.message(event), settings.pipelines), services)
