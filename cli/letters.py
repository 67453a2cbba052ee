"""Dead letters: what each one is about, and how it is published again. `shared.gcp.pubsub` writes those of the functions."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shared.listing import wanted
from shared.pipelines import Pipeline
from shared.tables import TableName

FUNCTIONS = ("list_tables", "export_table", "read_snapshot", "load_shard", "refresh_views", "start_loader")
_GIVEN_UP = "CloudPubSubDeadLetterSource"
"""What the attributes begin with that Pub/Sub adds when it gives up (https://cloud.google.com/pubsub/docs/handling-failures)."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One delivery of a message: `ack_id` is the delivery's, all else the message's."""

    ack_id: str
    message_id: str
    ordering_key: str
    attributes: Mapping[str, str]
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Letter:
    """A dead letter of a function's, or one of a message that Pub/Sub gave up on."""

    pulled: Pulled

    @property
    def function(self) -> str:
        """The function that could do nothing with it. Empty if it does not say."""
        return self.pulled.attributes.get("function") or self._from_subscription[0]

    @property
    def reason(self) -> str:
        """Why it is here, without the name of its table, so that letters of one cause have one reason."""
        count = self.pulled.attributes.get(f"{_GIVEN_UP}DeliveryCount")
        given_up = (
            f"Pub/Sub gave up after {count} deliveries: see the function's log" if count else "it does not say why"
        )
        reason = self.pulled.attributes.get("error") or given_up
        return reason.replace(".".join(self._of), "…") if self._of else reason

    @property
    def table(self) -> str:
        """The table that it is about, else the pipeline. Empty if it does not say."""
        return next(iter(self._names()), "") or str(self.content.get("pipeline", ""))

    @property
    def _of(self) -> TableName | None:
        """The one table that it is of, by schema and name. None of a request."""
        schema, table = self.content.get("schema"), self.content.get("table")
        return (str(schema), table) if isinstance(table, str) else None

    @property
    def source_topic(self) -> str:
        """Where it is published again. Empty if it does not say."""
        return self.pulled.attributes.get("source_topic") or self._from_subscription[1]

    @property
    def run_id(self) -> str:
        """Of a request: the id of the run that it would have started."""
        return self.pulled.attributes.get("message_id", "")

    def came_of(self, message_id: str = "") -> tuple[str, bytes]:
        """What is the same in each dead letter of one message. `message_id`: that message's id, if the letter does not say it."""
        return self.run_id or message_id, hashlib.sha256(self.pulled.data).digest()

    def ordering_key(self, pipelines: Mapping[str, Pipeline]) -> str:
        """The lane that it belongs to: its own, else the instance of its pipeline. Only exports have one."""
        own = self.pulled.attributes.get("ordering_key") or self.pulled.ordering_key
        if own or not self.source_topic.endswith("table-exports"):
            return own
        pipeline = pipelines.get(str(self.content.get("pipeline")))
        return pipeline.instance if pipeline else ""

    def is_about(self, table: str) -> bool:
        """Whether it names the table: by schema and name, by its name alone, or by its id."""
        return table in self._names() or any(name.partition(".")[2] == table for name in self._names())

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """The JSON object in it. Empty if it has none."""
        try:
            content = json.loads(self.pulled.data)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    @cached_property
    def _from_subscription(self) -> tuple[str, str]:
        """
        The function and the topic of the subscription that Pub/Sub gave up on, which is called `TOPIC-FUNCTION`.

        Terraform calls it so, because Pub/Sub does not say which topic the message was published on.
        """
        name = self.pulled.attributes.get(f"{_GIVEN_UP}Subscription", "")
        project = self.pulled.attributes.get(f"{_GIVEN_UP}SubscriptionProject", "")
        for function in FUNCTIONS:
            topic = name.removesuffix(f"-{function.replace('_', '-')}")
            if project and topic != name:
                return function, f"projects/{project}/topics/{topic}"
        return "", ""

    def _names(self) -> list[str]:
        if self._of:
            table = self._of[1]
            return [wanted.label(self._of), ".".join(self._of), table, str(self.content.get("table_id", table))]
        tables = self.content.get("tables")
        return list(_texts(tables)) if isinstance(tables, list) else []


def _texts(tables: list[Any]) -> Iterator[str]:
    for each in tables:
        yield f"{each.get('schema')}.{each.get('table')}" if isinstance(each, dict) else str(each)
