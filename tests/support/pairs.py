"""Pairs of files as an export leaves them, and what it says of them."""

from typing import Any

from tests.support.delivery import REQUESTED
from tests.support.stage import Stage

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
ID = {
    "name": "id",
    "source_name": "id",
    "data_type": "bigint",
    "is_nullable": False,
    "bigquery_type": "INT64",
    "mode": "REQUIRED",
    "description": "of the order",
}
NOTE = {
    "name": "note",
    "source_name": "note",
    "data_type": "text",
    "is_nullable": True,
    "bigquery_type": "STRING",
    "mode": "NULLABLE",
    "description": None,
}


def announce(stage: Stage, **changes: Any) -> dict[str, Any]:
    """A message on `table-exported`."""
    file_format = changes.get("format", "csv")
    message = {
        "run_id": stage.run_id,
        "requested_at": REQUESTED,
        "pipeline": "billing",
        "schema": "public",
        "table": "orders",
        "shard_date": "2026-01-15",
        "replace": True,
        "table_id": "orders",
        "schema_uri": f"gs://{stage.bucket.name}/{SCHEMA}",
        "data_uri": f"gs://{stage.bucket.name}/{DATA.replace('csv', file_format)}",
        "format": file_format,
    }
    return message | changes


def put_pair(stage: Stage, data: str = "1,x\n", **changes: Any) -> None:
    """Make the two files, as an export does."""
    file = DATA.replace("csv", changes.get("format", "csv"))
    stage.put(file, data)
    schema = {
        "version": 1,
        "pipeline": "billing",
        "database": "billing",
        "schema": "public",
        "table": "orders",
        "table_id": "orders",
        "run_id": stage.run_id,
        "requested_at": REQUESTED,
        "exported_at": REQUESTED,
        "shard_date": "2026-01-15",
        "format": "csv",
        "description": "All orders.",
        "data_uri": f"gs://{stage.bucket.name}/{file}",
        "data_generation": stage.bucket.get_blob(file).generation,
        "columns": [ID, NOTE],
    }
    stage.put(SCHEMA, schema | changes)
