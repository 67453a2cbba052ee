"""Pub/Sub: what the functions publish."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property
from typing import Any

from shared.errors import one_line
from shared.events import Message
from shared.messages import RunExported, TableExport, TableExported
from shared.settings import Settings

_IN_LANES = "export_table"
"""The function whose messages have an ordering key."""
_CONFIRMED_WITHIN = 120.0
"""Seconds to wait for Pub/Sub's confirmation of a message."""
_MOST_ATTRIBUTES = 100
"""Of one message, as Pub/Sub takes it."""
_AT_ONCE = 1_000
"""Messages published and not confirmed, beyond which publishing waits: each is held in memory until it is."""


class PubSub:
    """The project's topics, as the settings name them. The client is made when the first message is published."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def request(self, exports: Sequence[Mapping[str, Any]], instance: str) -> None:
        """Publish one message per table in the lane of the instance, and return when all are confirmed."""
        topic = self._settings.table_exports_topic
        # A message that failed blocks its key in this process, and with it the next run in the same lane, until it is
        # resumed (https://cloud.google.com/pubsub/docs/publisher); a key that is not blocked cannot be.
        with suppress(RuntimeError):
            self._client.resume_publish(topic, instance)
        for first in range(0, len(exports), _AT_ONCE):
            batch = exports[first : first + _AT_ONCE]
            _confirm([self._publish(topic, export, ordering_key=instance) for export in batch])

    def relist(self, export: TableExport) -> None:
        """Have the table described anew in the same run, and return when the request is confirmed."""
        _confirm([self._publish(self._settings.mirror_requests_topic, export.relist_request())])

    def announce(self, exported: TableExported) -> None:
        """Tell the loaders of a pair of files, and return when it is confirmed."""
        _confirm([self._publish(self._settings.table_exported_topic, exported.to_json())])

    def announce_run(self, exported: RunExported) -> None:
        """Tell whoever loads a run as a whole, and return when it is confirmed."""
        _confirm([self._publish(self._settings.run_exported_topic, exported.to_json())])

    def bury(self, message: Message, function: str, error: str) -> None:
        """
        Publish a message that can never succeed, untouched, with the reason; return when it is confirmed.

        Its own attributes are kept: those of a message that was buried before say which run it belongs to.
        """
        ours = {
            "function": function,
            "error": one_line(error),
            "source_topic": message.topic,
            "ordering_key": self._instance(message) if function == _IN_LANES else "",
        }
        origin = {"message_id": message.message_id, "publish_time": message.origin_time_text}
        own = dict(list(message.attributes.items())[: _MOST_ATTRIBUTES - len(ours) - len(origin)])
        attributes = origin | own | ours
        self._publish_with_key_as_attribute(self._settings.dead_letters_topic, message.data, attributes)

    def _instance(self, message: Message) -> str:
        """The ordering key that a replay of an export needs; a push does not always bring it."""
        try:
            return self._settings.pipelines[json.loads(message.data)["pipeline"]].instance
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""

    def _publish_with_key_as_attribute(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish at once, past the client's batches, whose publish() takes an attribute `ordering_key` for the key itself."""
        from google.pubsub_v1 import PublisherClient, PubsubMessage

        PublisherClient.publish(
            self._client,
            topic=topic,
            messages=[PubsubMessage(data=data, attributes=attributes)],
            timeout=_CONFIRMED_WITHIN,
        )

    def _publish(self, topic: str, content: Mapping[str, Any], ordering_key: str = "") -> "Future[str]":
        data = json.dumps(content, ensure_ascii=False).encode()
        future: Future[str] = self._client.publish(topic, data, ordering_key=ordering_key)
        return future

    @cached_property
    def _client(self) -> Any:
        import google.cloud.pubsub_v1 as pubsub_v1

        flow = pubsub_v1.types.PublishFlowControl(
            message_limit=_AT_ONCE, limit_exceeded_behavior=pubsub_v1.types.LimitExceededBehavior.BLOCK
        )
        options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True, flow_control=flow)
        endpoint = self._settings.pubsub_endpoint
        return pubsub_v1.PublisherClient(
            publisher_options=options, client_options={"api_endpoint": endpoint} if endpoint else None
        )


def _confirm(futures: Sequence["Future[str]"]) -> None:
    for future in futures:
        future.result(timeout=_CONFIRMED_WITHIN)
