"""The log: one line of JSON per event on standard output, as Cloud Logging reads it."""

import json
from collections.abc import Mapping
from typing import Any


def write(function: str, fields: Mapping[str, Any]) -> None:
    """Write a line. It has `severity` and `message` at least. One write, so that threads do not mix their lines."""
    print(json.dumps({"function": function} | dict(fields)) + "\n", end="", flush=True)  # noqa: T201 - the log is standard output
