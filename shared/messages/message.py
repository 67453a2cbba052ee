"""One delivery of a Pub/Sub message, however it was received."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from shared import times
from shared.errors import Permanent

_GIVEN_UP_AT = "CloudPubSubDeadLetterSourceTopicPublishTime"
REPLAY = {"replay": "true"}
"""The attribute of a message that is published because of a replay, which comes as late as the replay itself."""
RELIST = {"relist": "true"}
"""The attribute of a message that describes a table of a run again, and comes when the run's others are in their lane."""
_OF_LETTERS = frozenset({"message_id", "publish_time", "source_topic", _GIVEN_UP_AT})
RUN_ID = re.compile(r"(?!(\.{1,2}|open|over)\Z)[!-.0-~]{1,128}")
"""
A message's id, which is a run's: printable ASCII, without the slash that would part the names of objects, and none of the
names `.`, `..`, `open` and `over`, which lead elsewhere.
"""


@dataclass(frozen=True)
class Message:
    """
    One delivery of one Pub/Sub message.

    A message that is published again out of the dead letters carries the id and the publish time of the first one in its
    attributes. `origin_id` and `origin_time` are those, so that a replay belongs to the same run and the same day.

    `last_try`: what is denied at this delivery is not waited for any more.
    """

    topic: str
    message_id: str
    published_at: datetime
    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    delivery_attempt: int | None = None
    last_try: bool = False

    @cached_property
    def content(self) -> Any:
        """The JSON in it. Raises ValueError if its data is none."""
        try:
            return json.loads(self.data)
        except RecursionError as error:
            raise ValueError(str(error)) from error

    @property
    def is_replay(self) -> bool:
        """Whether somebody has published it again out of the dead letters, or it comes of one that was."""
        return not self.attributes.keys().isdisjoint(_OF_LETTERS | REPLAY.keys())

    @property
    def is_out_of_order(self) -> bool:
        """Whether it comes by itself, and not in its place among the messages of its run."""
        return not self.attributes.keys().isdisjoint(_OF_LETTERS | RELIST.keys())

    @property
    def origin_id(self) -> str:
        """Raises Permanent if a replay's attribute is not an id that Pub/Sub gives."""
        origin = self.attributes.get("message_id", self.message_id)
        if not RUN_ID.fullmatch(origin):
            raise Permanent(
                f"the message's id is {origin!r}, which cannot be a run's: correct the attribute message_id"
            )
        return origin

    @property
    def origin_time(self) -> datetime:
        """Raises Permanent if a replay's attribute is not a moment, or one after its own publication."""
        try:
            origin = times.moment(self.origin_time_text)
        except ValueError as error:
            raise Permanent(f"the attribute publish_time is no moment: {error}") from error
        if origin > self.published_at:
            raise Permanent(
                f"the attribute publish_time is {self.origin_time_text}, and the message was published before, at "
                f"{times.rfc3339(self.published_at)}: correct it"
            )
        return origin

    def check_origin(self) -> None:
        """Raise Permanent as `origin_time` does."""
        _ = self.origin_time

    @property
    def origin_time_text(self) -> str:
        """The origin's time as it was given."""
        given = self.attributes.get("publish_time") or self.attributes.get(_GIVEN_UP_AT)
        return given or times.rfc3339(self.published_at)
