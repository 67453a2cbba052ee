"""A run is complete: launch the team's own job that loads it."""

import os

import functions_framework

from shared.gcp.dataflow import Dataflow
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.loading import launch
from shared.messages import exports
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome
from shared.settings import Settings

settings = Settings.from_env(os.environ)
services = launch.LaunchServices(
    dataflow=Dataflow(settings.project, settings.dataflow_endpoint),
    storage=Storage(settings.project),
    project=settings.project,
)


@functions_framework.cloud_event
@handler(PubSub(settings))
def start_loader(event: Event) -> Outcome:
    message = event.expect_message()
    run = exports.run_exported(message, settings.pipelines)
    return launch.start_loader(run, message, services)
