"""Pub/Sub: what the functions publish."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Required, TypedDict

from shared.messages.exports import RunExported, TableExport, TableExported
from shared.messages.message import RELIST, REPLAY, Message
from shared.messages.snapshots import SnapshotRead
from shared.redaction import one_line
from shared.settings import Settings

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

_IN_LANES = "export_table"
"""The function whose messages have an ordering key."""
_CONFIRMED_WITHIN = 120.0
"""Seconds to wait for Pub/Sub's confirmation of a message."""
_MOST_ATTRIBUTES = 100
"""Of one message, as Pub/Sub takes it."""
_MOST_MESSAGES, _MOST_BYTES = 1_000, 9_000_000
"""Of one call, which takes 10 MB in all (https://cloud.google.com/pubsub/quotas)."""


class _Outgoing(TypedDict, total=False):
    """A message to publish, as Pub/Sub's API has it."""

    data: Required[bytes]
    ordering_key: str
    attributes: Mapping[str, str]


class PubSub:
    """The project's topics, as the settings name them. The client is made when the first message is published."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def request(
        self, exports: Sequence[Mapping[str, object]], instance: str, *, is_replay: bool, is_relist: bool
    ) -> None:
        """Publish one message per table in the lane of the instance, and return when all are confirmed."""
        again = RELIST if is_relist else {}
        for batch in _batches(_message(export, instance, again, is_replay=is_replay) for export in exports):
            self._publish(self._settings.table_exports_topic, batch)

    def request_snapshots(self, reads: Sequence[SnapshotRead], *, is_replay: bool) -> None:
        """Publish one message per snapshot, and return when all are confirmed."""
        for batch in _batches(_message(read.to_json(), is_replay=is_replay) for read in reads):
            self._publish(self._settings.snapshots_topic, batch)

    def relist(self, export: TableExport, *, is_replay: bool) -> None:
        """Have the table described again in the same run, and return when the request is confirmed."""
        self._publish(self._settings.mirror_requests_topic, [_message(export.relist_request(), is_replay=is_replay)])

    def announce(self, exported: TableExported) -> None:
        """Tell the loaders of a pair of files, and return when it is confirmed."""
        self._publish(self._settings.table_exported_topic, [_message(exported.to_json())])

    def announce_run(self, exported: RunExported) -> None:
        """Tell those who load complete runs, and return when it is confirmed."""
        self._publish(self._settings.run_exported_topic, [_message(exported.to_json())])

    def announce_shown(self, shown: Mapping[str, object]) -> None:
        """Tell those who wait for a run to be shown, and return when it is confirmed."""
        self._publish(self._settings.run_shown_topic, [_message(shown)])

    def give_up(self, export: TableExport, function: str, error: str) -> None:
        """Dead-letter a table's own message on `table-exports`, as if it had been published; return when it is confirmed."""
        asked = _message(export.to_json())["data"]
        topic = self._settings.table_exports_topic
        self.dead_letter(Message(topic, export.run_id, export.requested_at, asked), function, error)

    def dead_letter(self, message: Message, function: str, error: str) -> None:
        """
        Publish a message that can never succeed, untouched, with the reason; return when it is confirmed.

        Its own attributes are kept: those of a replay say which run it belongs to.
        """
        ours = {
            "function": function,
            "error": one_line(error),
            "source_topic": message.topic,
            "ordering_key": self._instance(message) if self._is_in_lane(message, function) else "",
        }
        origin = {"message_id": message.message_id, "publish_time": message.origin_time_text}
        own = dict(list(message.attributes.items())[: _MOST_ATTRIBUTES - len(ours) - len(origin)])
        attributes = origin | own | ours
        self._publish(self._settings.dead_letters_topic, [{"data": message.data, "attributes": attributes}])

    def _is_in_lane(self, message: Message, function: str) -> bool:
        return function == _IN_LANES or message.topic == self._settings.table_exports_topic

    def _instance(self, message: Message) -> str:
        """The ordering key that a replay of an export needs. A push does not always bring it."""
        try:
            return self._settings.pipelines[message.content["pipeline"]].instance
        except (ValueError, KeyError, TypeError):
            return ""

    def connect(self) -> None:
        """Get ready to publish, while there is time: the first message is out sooner."""
        self._client  # noqa: B018 - made when it is first looked at

    def _publish(self, topic: str, messages: Sequence[_Outgoing]) -> None:
        """
        Publish in one call, and return when it is confirmed.

        Past the client's own publish(), whose batches leave an ordering key blocked when one of them has failed
        (https://cloud.google.com/pubsub/docs/publisher), and which takes an attribute `ordering_key` for the key itself.
        """
        from google.pubsub_v1 import PublisherClient, PublishRequest

        request = PublishRequest.pb()(topic=topic, messages=messages)
        PublisherClient.publish(self._client, PublishRequest.wrap(request), timeout=_CONFIRMED_WITHIN)

    @cached_property
    def _client(self) -> "PublisherClient":
        from google.cloud.pubsub_v1 import PublisherClient

        endpoint = self._settings.pubsub_endpoint
        return PublisherClient(client_options={"api_endpoint": endpoint} if endpoint else None)


def _message(
    content: Mapping[str, object],
    ordering_key: str = "",
    attributes: Mapping[str, str] = MappingProxyType({}),
    *,
    is_replay: bool = False,
) -> _Outgoing:
    data = json.dumps(content, ensure_ascii=False).encode()
    return {"data": data, "ordering_key": ordering_key, "attributes": {**attributes, **(REPLAY if is_replay else {})}}


def _batches(messages: Iterable[_Outgoing]) -> Iterator[list[_Outgoing]]:
    """The messages in as few calls as they fit in, in order. Each message is made when its call is due."""
    batch: list[_Outgoing] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == _MOST_MESSAGES or size + len(message["data"]) > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message["data"])
    if batch:
        yield batch
