"""A table is exported: see it loaded into its shard."""

import os

import functions_framework
from cloudevents.http import CloudEvent

from shared import events, loading, messages
from shared.gcp.bigquery import BigQuery
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.handler import handler
from shared.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ)
services = loading.Services(storage=Storage(settings.project), warehouse=BigQuery(settings.project))


@functions_framework.cloud_event
@handler(PubSub(settings))
def load_shard(event: CloudEvent) -> Outcome:
    message = events.message(event)
    return loading.load_shard(messages.table_exported(message.data, settings.pipelines), message.published_at, services)
