"""A run is whole: launch the team's own job that loads it."""

import os

import functions_framework
from cloudevents.http import CloudEvent

from shared import events, launching, messages
from shared.gcp.dataflow import Dataflow
from shared.gcp.pubsub import PubSub
from shared.handler import handler
from shared.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ)
services = launching.Services(dataflow=Dataflow(settings.project, settings.dataflow_endpoint), project=settings.project)


@functions_framework.cloud_event
@handler(PubSub(settings))
def start_loader(event: CloudEvent) -> Outcome:
    message = events.message(event)
    return launching.start_loader(messages.run_exported(message.data, settings.pipelines), message, services)
