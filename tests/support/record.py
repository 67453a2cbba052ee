"""What the functions before have put on record of a run, for a message that a test has made up."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import google.cloud.storage as storage
from google.api_core.exceptions import PreconditionFailed

from local.storage import Storage
from tests.support.delivery import table_export

_OF_RUN = ("run_id", "requested_at", "pipeline", "shard_date")


def manifest(*exports: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a run whose messages on `table-exports` are these."""
    of_run = {key: exports[0].get(key) for key in _OF_RUN}
    return {"version": 1, "database": "billing", **of_run, "tables": list(exports)}


def behind(function: str, message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The object that says the same as a message to a function: its name and its content."""
    folder = f"billing/_runs/{message.get('run_id')}"
    if function == "start_loader":
        return f"{folder}/run_exported.json", {"announced": True, "claimant": "orders", "announcement": dict(message)}
    if function == "export_table":
        return f"{folder}/manifest.json", manifest(message)
    known = {key: message[key] for key in (*_OF_RUN, "schema", "table", "replace") if key in message}
    return f"{folder}/manifest.json", manifest(table_export(**known))


def put_first(objects: Storage, bucket: storage.Bucket, name: str, content: Mapping[str, Any]) -> bool:
    """Make an object unless it is there, unseen by whoever is between. Say whether it was made."""
    between, objects.server.between = objects.server.between, None
    try:
        with suppress(PreconditionFailed):
            bucket.blob(name).upload_from_string(json.dumps(content), if_generation_match=0)
            return True
    finally:
        objects.server.between = between
    return False
