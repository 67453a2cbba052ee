"""What tests of views do to shards, and how they look at what became of the views."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.cloud.bigquery import Dataset, LoadJobConfig, SchemaField, WriteDisposition

from local.server import Answer, Answering, Between, Call
from tests.support.stage import Event, Log, Stage
from tests.support.standins import PROJECT

ID = SchemaField("id", "INT64", description="The key.")
NOTE = SchemaField("note", "STRING")

RECONCILE = {"pipeline": "billing"}
ORDERS = {"pipeline": "billing", "tables": ["orders"]}


@dataclass(frozen=True)
class Later:
    """A clock that is ahead of the machine's."""

    ahead: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody is to wait {seconds} s here")


def pass_time(stage: Stage, ahead: timedelta) -> None:
    """Have refresh_views live so much later from now on."""
    stage.started["refresh_views"].work_with(clock=Later(ahead))


def load(stage: Stage, name: str, rows: int = 1, columns: Sequence[SchemaField] = (ID,)) -> Event:
    """Load a shard of so many rows, in place where there is one, and give the event of the job's end."""
    stage.put("rows.csv", "".join(",".join([str(row)] * len(columns)) + "\n" for row in range(rows)))
    config = LoadJobConfig(schema=list(columns), write_disposition=WriteDisposition.WRITE_TRUNCATE)
    uri = f"gs://{stage.bucket.name}/rows.csv"
    return stage.events(stage.warehouse.load_table_from_uri(uri, stage.shard(name), job_config=config))[-1]


def select(stage: Stage, shard: str) -> str:
    """The SQL of a view of that shard, as the mirror makes it."""
    return f"SELECT * FROM `{stage.shard(shard)}`"


def show(stage: Stage, shard: str, labels: dict[str, str] | None = None) -> None:
    """Have the table's view show a shard of it."""
    stage.create_view(shard.rpartition("_")[0], select(stage, shard), labels)


def views(stage: Stage) -> dict[str, str]:
    """The names of all views, and of the shards that they name."""
    found = [each.table_id for each in stage.warehouse.list_tables(stage.pipeline["views_dataset"])]
    return {name: stage.shown(name).rpartition(".")[2].rstrip("`") for name in found}


def described(stage: Stage, view: str = "orders") -> dict[str, str | None]:
    """The columns of a view, and their descriptions."""
    return {field.name: field.description for field in stage.warehouse.get_table(stage.view(view)).schema}


def expires(stage: Stage, shard: str) -> datetime | None:
    """When a shard expires."""
    at: datetime | None = stage.warehouse.get_table(stage.shard(shard)).expires
    return at


def set_expiry(stage: Stage, shard: str, at: datetime | None) -> None:
    """Have a shard expire then, as people do."""
    table = stage.warehouse.get_table(stage.shard(shard))
    table.expires = at
    stage.warehouse.update_table(table, ["expires"])
    stage.bigquery.calls.clear()


def said(log: Log, severity: str) -> list[str]:
    """The messages of that severity since the last look."""
    return [line["message"] for line in log() if line["severity"] == severity]


def called(stage: Stage) -> list[str]:
    """What BigQuery has been asked since the calls were last forgotten, each with the table that it is about."""
    return [
        " ".join([method.removeprefix("bigquery."), *filter(None, [path.get("tableId")])])
        for method, path in stage.bigquery.calls
    ]


def have_tables_expire(stage: Stage, which: str) -> None:
    """Take another dataset, `shards_dataset` or `views_dataset`, whose new tables and views expire in 30 days."""
    stage.pipeline[which] += "_expiring"
    dataset = Dataset(f"{PROJECT}.{stage.pipeline[which]}")
    dataset.default_table_expiration_ms = 30 * 86_400_000
    stage.warehouse.create_dataset(dataset)


def refused(
    times: int, target: str, content: bytes = b"", verb: str = "PATCH", reason: str = "quotaExceeded"
) -> Between:
    """
    Has so many calls refused, which come to a path that ends so, with such content.

    A quota that is spent is told as the service tells it, and so is a lost race, `conditionNotMet`.
    """
    left = [times]
    status = 412 if reason == "conditionNotMet" else 403

    def befalling(call: Call, answering: Answering) -> Answer:
        path = call.target.partition("?")[0]
        if call.verb != verb or not path.endswith(target) or content not in call.body or not left[0]:
            return answering(call)
        left[0] -= 1
        error = {"code": status, "message": "Not now.", "errors": [{"message": "Not now.", "reason": reason}]}
        return Answer(status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json"})

    return befalling


def first(act: Callable[[], object], verb: str, target: str) -> Between:
    """Has something else happen before the first call to a path that ends so is answered."""
    to_do = [act]

    def befalling(call: Call, answering: Answering) -> Answer:
        if to_do and call.verb == verb and call.target.partition("?")[0].endswith(target):
            to_do.pop()()
        return answering(call)

    return befalling
