"""A table is exported: see it loaded into its shard."""

import os

import functions_framework

from shared.gcp.bigquery_loads import BigQueryLoads
from shared.gcp.listeners import listeners
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.loading import load
from shared.messages import exports
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ)
topics = PubSub(settings)
services = load.LoadServices(
    storage=Storage(settings.project), jobs=BigQueryLoads(settings.project), listeners=listeners(settings, topics)
)


@functions_framework.cloud_event
@handler(topics)
def load_shard(event: Event) -> Outcome:
    message = event.expect_message()
    exported = exports.table_exported(message, settings.pipelines)
    return load.load_shard(exported, message.published_at, services)
