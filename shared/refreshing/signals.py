"""What sets off a refresh: the end of a job of BigQuery or Dataflow, or somebody's request."""

from collections.abc import Mapping

from shared.messages import requests
from shared.messages.events import LOG_ENTRY_WRITTEN, Event
from shared.messages.requests import ViewRefresh
from shared.pipelines import Pipeline
from shared.refreshing import bigquery_events, dataflow_events
from shared.refreshing.bigquery_events import TableWritten, Truncated
from shared.refreshing.dataflow_events import JobEnded

Signal = ViewRefresh | TableWritten | Truncated | JobEnded | None


def read(event: Event, pipelines: Mapping[str, Pipeline]) -> Signal:
    """What an event says. None for the many that say nothing here. Raises Permanent if it is malformed."""
    if event.letter:
        return requests.view_refresh(event.letter, pipelines)
    if event.message or event.type == LOG_ENTRY_WRITTEN:
        return bigquery_events.read(event.log_entry)
    if event.type == dataflow_events.STATUS_CHANGED:
        return dataflow_events.read(event.data, pipelines)
    return None
